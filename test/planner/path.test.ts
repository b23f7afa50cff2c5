import { describe, expect, it } from 'vitest';
import type { Demand, InboundFlow, NodeFacts, OutboundFlow, Translator } from '../../src/planner/demand.ts';
import type { Limit, LimitName } from '../../src/planner/limit.ts';
import { type Plan, plan } from '../../src/planner/plan.ts';
import { demand, inbound, outbound } from './demands.ts';

const limitOf = ({ limits }: Plan, name: LimitName): Limit | undefined => limits.find(({ limit }) => limit === name);
const accepting = (flow: Partial<InboundFlow>, rest: Partial<Demand> = {}, node?: NodeFacts): Plan =>
  plan(demand({ inbound: [inbound(flow)], ...rest }), node);
const opening = (flow: Partial<OutboundFlow>, rest: Partial<Demand> = {}, node?: NodeFacts): Plan =>
  plan(demand({ outbound: [outbound({ destinationAddresses: 1000, ...flow })], ...rest }), node);

const nat = (changes: Partial<Translator>): readonly Translator[] => [
  {
    type: 'NAT',
    name: 'gw',
    addresses: 1,
    portsPerAddress: 1000,
    sharedBy: 'Cluster',
    lingerSeconds: 0,
    idleTimeoutSeconds: undefined,
    ...changes,
  },
];

describe('the path', () => {
  it('flows through one translator to one target share its tuples', () => {
    const flows = ['a', 'b'].map((name) =>
      outbound({ name, connections: 30_000, targets: ['T'], path: nat({ portsPerAddress: 55_000 }) }),
    );
    expect(plan(demand({ outbound: flows })).bindingLimit).toMatchObject({
      stage: 'NAT',
      subject: 'gw',
      flow: '',
      needed: 60_000,
      capacity: 55_000,
    });
  });

  it('flows to one address share what it takes', () => {
    const flows = ['a', 'b'].map((name) =>
      outbound({ name, connections: 8000, maxConnectionsPerAddress: 10_000, farEndKeys: ['10.0.0.1'] }),
    );
    const result = plan(demand({ outbound: flows }));
    expect(result.bindingLimit).toMatchObject({ limit: 'MaxConnectionsPerAddress', flow: '', needed: 16_000 });
    expect(result.connections.reachable).toBe(10_000);
  });

  const one = { destinationAddresses: 1, connections: 500 };

  it.each([
    { sharedBy: 'Pod', needed: 500, feasible: true },
    { sharedBy: 'Node', needed: 1000, feasible: true },
    { sharedBy: 'Cluster', needed: 3000, feasible: false },
  ] as const)('a translator shared by the $sharedBy needs $needed ports', ({ sharedBy, needed, feasible }) => {
    const result = opening(
      { ...one, path: nat({ sharedBy }) },
      { scale: { pods: 6, podsPerNode: 2, surgePercent: 0 } },
    );
    expect(limitOf(result, 'TranslatorPorts')).toMatchObject({ stage: 'NAT', needed, capacity: 1000 });
    expect(result.feasible).toBe(feasible);
  });

  it('what lingers in a translator takes ports too', () => {
    const result = opening({ ...one, closesPerSecond: 10, closedBy: 'Peer', path: nat({ lingerSeconds: 60 }) });
    expect(result.bindingLimit).toMatchObject({ needed: 1100, capacity: 1000 });
    expect(result.connections.reachable).toBe(400);
  });

  it('a translator with several addresses is taken to use them evenly, and that is said once', () => {
    const flows = ['a', 'b'].map((name) => outbound({ name, path: nat({ addresses: 2 }) }));
    const { assumptions } = plan(demand({ outbound: flows }));
    expect(assumptions.filter(({ kind }) => kind === 'EvenTranslatorAddresses')).toEqual([
      { kind: 'EvenTranslatorAddresses', subject: 'gw', value: 2 },
    ]);
  });

  it('a load balancer that keeps the client address has no ports of its own', () => {
    const path = nat({ type: 'LoadBalancer', portsPerAddress: undefined });
    expect(limitOf(accepting({ connections: 100_000, path }), 'TranslatorPorts')).toBeUndefined();
  });

  it('clients that close first keep their ports for 61 s', () => {
    const clients = { addresses: 2, portsPerAddress: 1000 };
    expect(limitOf(accepting({ clients, closesPerSecond: 10 }), 'ClientPorts')).toMatchObject({
      needed: 1610,
      capacity: 2000,
    });
    expect(limitOf(accepting({ clients, closesPerSecond: 10, closedBy: 'Pod' }), 'ClientPorts')?.needed).toBe(1000);
  });

  it.each([
    { addresses: 10, ports: 4, share: undefined, needed: 300 }, // 3 pods × 1,000 ÷ 10
    { addresses: 10, ports: 4, share: 20, needed: 600 }, // 3 pods × 20 %
  ])(
    'the far end with $addresses addresses and a share of $share takes $needed per address',
    ({ addresses, ports, share, needed }) => {
      const flow = {
        destinationAddresses: addresses,
        destinationPorts: ports,
        largestSharePercent: share,
        maxConnectionsPerAddress: 599,
      };
      const result = opening(flow, { scale: { pods: 3, podsPerNode: 1, surgePercent: 0 } });
      expect(limitOf(result, 'MaxConnectionsPerAddress')?.needed).toBe(needed);
      expect(result.feasible).toBe(needed <= 599);
    },
  );

  it.each([
    { idle: 350, keepalive: '210' },
    { idle: 60, keepalive: '36' },
    { idle: 1, keepalive: '1' },
  ])('an idle timeout of $idle s sets tcp_keepalive_time to $keepalive s', ({ idle, keepalive }) => {
    const result = opening({ ...one, path: nat({ idleTimeoutSeconds: idle }) });
    expect(result.sysctls).toContainEqual({ name: 'net.ipv4.tcp_keepalive_time', value: keepalive, setBy: 'Agent' });
    expect(result.assumptions).toContainEqual({ kind: 'KeepaliveAsked', subject: 'out', value: idle });
  });
});
