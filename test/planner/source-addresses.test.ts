import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assumptionText } from '../../src/planner/assumptions.ts';
import type { Demand, OutboundFlow, Translator } from '../../src/planner/demand.ts';
import { plan, type Plan } from '../../src/planner/plan.ts';
import { explainBinding } from '../../src/planner/remedy.ts';
import { demand, extra, outbound } from './demands.ts';

const demandOf = (flows: readonly Partial<OutboundFlow>[], rest: Partial<Demand>): Demand =>
  demand({ ...rest, outbound: flows.map((flow, at) => outbound({ name: `flow-${at}`, ...flow })) });

const planned = (flow: Partial<OutboundFlow>, rest: Partial<Demand>): Plan => plan(demandOf([flow], rest));

const hop = (changes: Partial<Translator> = {}): Translator => ({
  type: 'NAT',
  name: 'gateway',
  addresses: 1,
  portsPerAddress: 55_000,
  sharedBy: 'Pod',
  lingerSeconds: 0,
  idleTimeoutSeconds: undefined,
  ...changes,
});

const portsOf = ({ limits }: Plan) => limits.find(({ limit }) => limit === 'net.ipv4.ip_local_port_range');

const kindsOf = ({ assumptions }: Plan): readonly string[] => assumptions.map(({ kind }) => kind);

const remedyOf = (flow: Partial<OutboundFlow>, rest: Partial<Demand>): string => {
  const base = demandOf([flow], rest);
  return explainBinding(base, plan(base).bindingLimit!).remedy;
};

describe('as many addresses as are needed', () => {
  // P = 64,512 of the widest range; half of it, 32,256, where the kernel picks the port; 95 %, 61,286, otherwise.
  it.each([
    { connections: 28_232, portSelection: 'Spread', total: 2 }, // all of the default range: 26,820 are its 95 %
    { connections: 61_286, portSelection: 'Spread', total: 1 }, // 1 × 61,286
    { connections: 61_287, portSelection: 'Spread', total: 2 },
    { connections: 220_000, portSelection: 'Spread', total: 4 }, // 3 × 61,286.4 = 183,859 < 220,000 ≤ 245,145
    { connections: 220_000, portSelection: 'Program', total: 4 },
    { connections: 220_000, portSelection: 'Kernel', total: 7 }, // 6 × 32,256 = 193,536 < 220,000 ≤ 225,792
    { connections: 900_000, portSelection: 'Kernel', total: 9 }, // all that are allowed, 9 × 64,512 = 580,608: binds
  ] as const)('$connections to one target, picked by $portSelection: $total', ({ total, ...flow }) => {
    expect(planned(flow, extra(8)).sourceAddresses).toEqual({ total, extra: total - 1 });
  });

  it.each([
    { maximumExtra: 0, total: 1, extraOnes: 0 },
    { maximumExtra: 1, total: 1, extraOnes: 0 }, // one in the place of the pod's own is none
    { maximumExtra: 8, total: 4, extraOnes: 4 },
    { maximumExtra: 3, total: 3, extraOnes: 3 },
  ])('on another link the own one does not count: at most $maximumExtra', ({ maximumExtra, total, extraOnes }) => {
    const result = planned(
      { connections: 220_000, portSelection: 'Spread' },
      extra(maximumExtra, { ownCounts: false }),
    );
    expect(result.sourceAddresses).toEqual({ total, extra: extraOnes });
    expect(result.feasible).toBe(total === 4);
  });

  it('with explicit ports each has 65,535, where the program spreads them', () => {
    const flow = { connections: 180_000, binding: 'Explicit' } as const;
    expect(planned(flow, extra(8, { spread: 'Application' })).sourceAddresses.total).toBe(3);
    expect(planned(flow, extra(8)).sourceAddresses.total).toBe(1);
  });

  it('a port that is bound early to one of them is lost to connect() from all', () => {
    const flows = [
      { connections: 40_000, binding: 'Early' },
      { connections: 60_000, binding: 'Late' },
    ] as const;
    const result = plan(demandOf(flows, extra(8, { spread: 'Application' })));
    // 64,512 − 40,000 = 24,512 ports an address are left, 95 % of them fast: 3 × 23,286 = 69,859
    expect(result.sourceAddresses.total).toBe(3);
  });

  it('one less does not suffice, and none is planned that lifts nothing', () => {
    const flows = fc.record({
      connections: fc.integer({ min: 1, max: 600_000 }),
      portSelection: fc.constantFrom('Kernel', 'Spread', 'Program'),
      destinationAddresses: fc.integer({ min: 1, max: 4 }),
    });
    fc.assert(
      fc.property(flows, fc.integer({ min: 1, max: 8 }), (flow, maximum) => {
        const result = planned(flow, extra(maximum));
        const { extra: given } = result.sourceAddresses;
        fc.pre(given > 0);
        const fewer = planned(flow, extra(given - 1));
        expect(!fewer.feasible || kindsOf(fewer).includes('KernelPortCliff')).toBe(true);
        expect(portsOf(fewer)?.reachable).toBeLessThan(portsOf(result)?.reachable ?? 0);
      }),
    );
  });
});

describe('where they do nothing', () => {
  const flow = { connections: 150_000 };
  it.each([
    { why: 'a gateway of 55,000 follows', changes: { path: [hop()] }, kind: 'AddressesBehindTranslator' },
    {
      why: 'a sidecar opens the connections',
      changes: { path: [hop({ type: 'Sidecar' })] },
      kind: 'AddressesBehindSidecar',
    },
    { why: 'the program binds its ports', changes: { binding: 'Explicit' }, kind: 'AddressesNotBound' },
    { why: 'the program binds early', changes: { binding: 'Early' }, kind: 'AddressesNotBound' },
  ] as const)('none is planned, and it is said: $why', ({ changes, kind }) => {
    const result = planned({ ...flow, ...changes }, extra(8));
    expect(result.sourceAddresses.extra).toBe(0);
    expect(result.feasible).toBe(false);
    expect(result.assumptions).toContainEqual(expect.objectContaining({ kind, subject: 'flow-0' }));
  });

  it.each([
    { ports: 55_000, total: 1 }, // one address of the pod fills it
    { ports: 64_513, total: 2 },
    { ports: 140_000, total: 3 }, // 150,000 are asked for, 140,000 let through: 2 × 64,512 < 140,000
    { ports: 150_000, total: 3 },
  ])('before a gateway of $ports ports $total are worth something', ({ ports, total }) => {
    const path = [hop({ portsPerAddress: ports })];
    expect(planned({ ...flow, path }, extra(8)).sourceAddresses.total).toBe(total);
  });

  it('a load balancer that keeps the address is no translator', () => {
    const path = [hop({ type: 'LoadBalancer', portsPerAddress: undefined })];
    expect(planned({ ...flow, portSelection: 'Spread', path }, extra(8)).sourceAddresses.total).toBe(3);
  });

  it('a flow that they do not lift asks for none on behalf of others', () => {
    const flows = [{ connections: 150_000, binding: 'Explicit' as const }, { connections: 100 }];
    expect(plan(demandOf(flows, extra(8))).sourceAddresses.total).toBe(1);
  });

  it('a pod in the network of its node has none', () => {
    const pod = { hostNetwork: true, declaredPorts: [], portRange: undefined, kubeletReservesPorts: true };
    expect(planned(flow, { ...extra(8), pod }).sourceAddresses.total).toBe(1);
    expect(kindsOf(planned({ connections: 20_000, portSelection: 'Spread' }, { pod }))).toContain('KernelPortCliff');
  });
});

describe('IPv4 and IPv6', () => {
  const v4 = { families: ['IPv4'], connections: 60_000, binding: 'Early' } as const;
  const v6 = { families: ['IPv6'], connections: 60_000, binding: 'Early' } as const;
  it('have ports of their own for early binding', () => {
    expect(plan(demandOf([v4, v6], {})).feasible).toBe(true);
    expect(plan(demandOf([v4, { ...v4, name: 'other' }], {})).feasible).toBe(false);
    expect(plan(demandOf([v4, v6, { ...v4, families: [], connections: 5000, name: 'any' }], {})).feasible).toBe(false);
  });

  it('need as many addresses as the family that needs most, and it is said for each', () => {
    const flows = [
      { ...v4, connections: 60_000 },
      { ...v6, connections: 180_000 },
    ];
    const result = plan(demandOf(flows, extra(8, { spread: 'Application' })));
    // 180,000 ÷ 64,512 = 2.8
    expect(result.sourceAddresses).toEqual({ total: 3, extra: 2 });
    const sentences = result.assumptions.filter(({ kind }) => kind === 'AddressesOfFamily').map(assumptionText);
    expect(sentences).toEqual([
      expect.stringMatching(/^IPv4 targets need 0 extra IPv4 addresses/),
      expect.stringMatching(/^IPv6 targets need 2 extra IPv6 addresses/),
    ]);
  });
});

describe('what is said', () => {
  it.each([
    // 200,000 ÷ 64,512 = 3.1
    { most: 0, flow: {}, remedy: 'or 4 source addresses (sourceAddresses with a provider and maximum 3)' },
    { most: 1, flow: {}, remedy: 'or 4 source addresses (sourceAddresses with a provider and maximum 3)' },
  ])('what would do beside $most extra ones', ({ most, flow, remedy }) => {
    expect(remedyOf({ connections: 200_000, ...flow }, extra(most))).toContain(remedy);
  });

  it('no address where none helps', () => {
    expect(remedyOf({ connections: 200_000, binding: 'Explicit' }, {})).not.toContain('source addresses');
    expect(remedyOf({ connections: 200_000, path: [hop()] }, extra(4))).toContain(
      'extra source addresses of the pod do not help there',
    );
  });

  it('by whom and up to which share the ports are filled', () => {
    const spread = planned({ connections: 220_000, portSelection: 'Spread' }, extra(8));
    const kernel = planned({ connections: 220_000, portSelection: 'Kernel' }, extra(8));
    expect(spread.assumptions.map(assumptionText)).toContainEqual(expect.stringContaining('at most 95 % of its ports'));
    expect(kernel.assumptions.map(assumptionText)).toContainEqual(expect.stringContaining('at most 50 % of its ports'));
    expect([kindsOf(spread), kindsOf(kernel)].every((kinds) => kinds.includes('SpreadByAgent'))).toBe(true);
  });
});
