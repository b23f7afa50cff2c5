import { describe, expect, it } from 'vitest';
import type {
  ContainerDemand,
  Demand,
  InboundFlow,
  NodeFacts,
  OutboundFlow,
  Translator,
} from '../../src/planner/demand.ts';
import type { Limit, LimitName } from '../../src/planner/limit.ts';
import { type Plan, plan } from '../../src/planner/plan.ts';
import { container, demand, inbound, outbound } from './demands.ts';

const limitOf = ({ limits }: Plan, name: LimitName): Limit | undefined => limits.find(({ limit }) => limit === name);
const accepting = (flow: Partial<InboundFlow>, rest: Partial<Demand> = {}, node?: NodeFacts): Plan =>
  plan(demand({ inbound: [inbound(flow)], ...rest }), node);
const opening = (flow: Partial<OutboundFlow>, rest: Partial<Demand> = {}, node?: NodeFacts): Plan =>
  plan(demand({ outbound: [outbound({ destinationAddresses: 1000, ...flow })], ...rest }), node);

const holding = (memoryLimitBytes: number) =>
  accepting({ connections: 1000 }, { containers: [container({ memoryPerConnectionBytes: 16_384, memoryLimitBytes })] });

describe('descriptors', () => {
  // connections ÷ processes × per connection + reserved
  it.each<{ container: Partial<ContainerDemand>; connections: number; needed: number }>([
    { container: {}, connections: 10_000, needed: 10_064 },
    { container: { processes: 4 }, connections: 10_001, needed: 2501 + 64 },
    { container: { descriptorsPerConnection: 2, reservedDescriptors: 512 }, connections: 10_000, needed: 20_512 },
  ])(
    '$connections connections with $container need $needed per process',
    ({ container: changes, connections, needed }) => {
      const result = accepting({ connections }, { containers: [container(changes)] });
      expect(result.containers[0]?.descriptors).toEqual({ soft: needed, hard: needed });
      expect(limitOf(result, 'RLIMIT_NOFILE')).toMatchObject({
        needed,
        capacity: 1024,
        status: 'Raised',
        scope: 'Process',
      });
    },
  );

  it('fewer than the default limit leaves the default', () => {
    const result = accepting({ connections: 100 });
    expect(result.containers[0]?.descriptors).toEqual({ soft: 1024, hard: 1024 });
    expect(limitOf(result, 'RLIMIT_NOFILE')?.status).toBe('Sufficient');
  });

  it('an unchanged soft limit stays at the default, the hard one is planned', () => {
    const result = accepting({ connections: 10_000 }, { containers: [container({ softPlanned: false })] });
    expect(result.containers[0]?.descriptors).toEqual({ soft: 1024, hard: 10_064 });
  });

  it('fs.nr_open holds 1,048,576 of a process and not one more', () => {
    expect(accepting({ connections: 1_048_576 - 64 }).feasible).toBe(true);
    const over = accepting({ connections: 1_048_576 - 63 });
    expect(over.bindingLimit).toMatchObject({
      limit: 'fs.nr_open',
      scope: 'Node',
      capacity: 1_048_576,
      needed: 1_048_577,
    });
    expect(over.connections.reachable).toBe(1_048_512);
  });

  it('a node that cannot raise hard limits binds at what it can set', () => {
    const node = { nrOpen: 1_048_576, settableNofile: 20_000, runtimeNofile: { soft: 1024, hard: 20_000 } };
    const result = accepting({ connections: 30_000 }, {}, node);
    expect(result.bindingLimit).toMatchObject({
      limit: 'RLIMIT_NOFILE',
      scope: 'Process',
      capacity: 20_000,
      needed: 30_064,
    });
    expect(result.connections.reachable).toBe(19_936);
  });

  it('the limits of a pod do not depend on the node that it happens to run on', () => {
    const small = { nrOpen: 1_048_576, settableNofile: 20_000, runtimeNofile: { soft: 20_000, hard: 20_000 } };
    expect(accepting({ connections: 30_000 }, {}, small).containers).toEqual(
      accepting({ connections: 30_000 }).containers,
    );
  });

  it('no more than fs.nr_open is ever asked for', () => {
    expect(accepting({ connections: 2_000_000 }).containers[0]?.descriptors).toEqual({
      soft: 1_048_576,
      hard: 1_048_576,
    });
  });

  it('each container is bound by its own flows', () => {
    const result = plan(
      demand({
        containers: [container({ name: 'a' }), container({ name: 'b' })],
        inbound: [
          inbound({ name: 'x', port: 1, connections: 5000 }),
          inbound({ name: 'y', port: 2, container: 1, connections: 7000 }),
        ],
      }),
    );
    expect(result.containers.map(({ descriptors }) => descriptors.soft)).toEqual([5064, 7064]);
  });

  it('what two containers reach is bounded by both together', () => {
    const flows = [0, 0, 1, 1].map((owner, index) =>
      inbound({ name: `f${index}`, port: 1 + index, container: owner, connections: 600_000 }),
    );
    const result = plan(demand({ containers: [container({ name: 'a' }), container({ name: 'b' })], inbound: flows }));
    expect(result.connections.reachable).toBe(2 * (1_048_576 - 64));
  });

  it('beside a flow that is bound, one that nothing bounds counts with what it declares', () => {
    const result = plan(
      demand({ inbound: [inbound({ connections: 100 })], outbound: [outbound({ connections: 100_000 })] }),
    );
    expect(result.connections).toMatchObject({ declared: 100_100, reachable: 64_512 + 100 });
    expect(result.bindingLimit).toMatchObject({ limit: 'net.ipv4.ip_local_port_range', flow: 'out' });
  });

  it('of two limits the one that lets fewer connections through binds, whatever flows it concerns', () => {
    const pod = {
      hostNetwork: false,
      declaredPorts: [],
      portRange: { low: 40_000, high: 44_999 },
      kubeletReservesPorts: true,
    };
    const flows = { inbound: [inbound({ connections: 100 })], outbound: [outbound({ connections: 25_000 })] };
    const result = plan(demand({ ...flows, pod }), { nrOpen: 1_048_576, settableNofile: 20_000 });
    expect(result.bindingLimit).toMatchObject({ limit: 'net.ipv4.ip_local_port_range', capacity: 5000 });
  });

  it('a node that says nothing of fs.nr_open leaves it open', () => {
    const result = accepting({ connections: 2_000_000 }, {}, {});
    expect(result.containers[0]?.descriptors.hard).toBe(2_000_064);
    expect(result).toMatchObject({ feasible: true, connections: { reachable: 2_000_000 } });
  });

  it('a sidecar that the budget lists holds two descriptors per connection', () => {
    const path: readonly Translator[] = [
      {
        type: 'Sidecar',
        name: 'proxy',
        addresses: 1,
        portsPerAddress: undefined,
        sharedBy: 'Pod',
        lingerSeconds: 0,
        idleTimeoutSeconds: undefined,
      },
    ];
    const result = plan(
      demand({
        containers: [container(), container({ name: 'proxy' })],
        inbound: [inbound({ connections: 10_000, path })],
      }),
    );
    expect(result.containers[1]?.descriptors.soft).toBe(20_064);
    expect(limitOf(result, 'net.ipv4.ip_local_port_range')).toMatchObject({ stage: 'Sidecar', needed: 10_000 });
  });
});

describe('the accept queue', () => {
  // min(backlog, somaxconn 4,096) + 1 per socket against opens/s × stall
  it.each([
    { backlog: 1024, sockets: 1, opens: 1025, status: 'Sufficient', somaxconn: undefined },
    { backlog: 1024, sockets: 1, opens: 1026, status: 'Binding', somaxconn: undefined },
    { backlog: 1024, sockets: 2, opens: 2050, status: 'Sufficient', somaxconn: undefined },
    { backlog: 65_535, sockets: 1, opens: 4097, status: 'Sufficient', somaxconn: undefined },
    { backlog: 65_535, sockets: 1, opens: 4098, status: 'Raised', somaxconn: '4097' },
    { backlog: 65_535, sockets: 4, opens: 40_000, status: 'Raised', somaxconn: '9999' },
  ] as const)(
    '$opens opens in a stall of 1 s with $sockets sockets of backlog $backlog: $status',
    ({ backlog, sockets, opens, status, somaxconn }) => {
      const result = accepting({ listenBacklog: backlog, listenSockets: sockets, opensPerSecond: opens });
      expect(limitOf(result, 'AcceptQueue')).toMatchObject({ needed: opens, status });
      expect(result.sysctls.find(({ name }) => name === 'net.core.somaxconn')?.value).toBe(somaxconn);
    },
  );

  it('binds without lowering the reachable number, which is no rate', () => {
    const result = accepting({ listenBacklog: 10, opensPerSecond: 1000 });
    expect(result).toMatchObject({
      feasible: false,
      bindingLimit: { limit: 'AcceptQueue', capacity: 11, needed: 1000 },
    });
    expect(result.connections.reachable).toBe(1_048_512);
  });

  it('of several short queues the scarcest binds', () => {
    const flows = [
      inbound({ name: 'a', port: 1, listenBacklog: 100, opensPerSecond: 300 }),
      inbound({ name: 'b', port: 2, listenBacklog: 100, opensPerSecond: 900 }),
    ];
    expect(plan(demand({ inbound: flows })).bindingLimit?.flow).toBe('b');
  });
});

describe('memory', () => {
  it('an accepted connection costs its node 4,015 bytes', () => {
    expect(accepting({ connections: 100_000 }).kernelMemoryBytes).toBe(401_500_000);
  });

  it('an opened one adds a bind bucket for each distinct source port', () => {
    expect(opening({ connections: 10_000 }).kernelMemoryBytes).toBe(10_000 * (4015 + 256));
    expect(opening({ connections: 100_000 }).kernelMemoryBytes).toBe(100_000 * 4015 + 28_232 * 256);
  });

  it('the program and the kernel are held against the limit of the container', () => {
    expect(holding(20_399_000).feasible).toBe(true); // 1,000 × (4,015 + 16,384)
    expect(holding(20_398_999).bindingLimit).toMatchObject({ limit: 'MemoryLimit', needed: 20_399_000, unit: 'bytes' });
    expect(holding(20_398_999).connections.reachable).toBe(999);
  });
});

describe('tables of the node', () => {
  it('a rate is not rounded before it lingers: 1/s and 10 % are 132 entries in 120 s', () => {
    const result = opening({ connections: 1, closesPerSecond: 1 }, { headroomPercent: 10 });
    expect(result.nodeMinimums).toContainEqual({ name: 'net.netfilter.nf_conntrack_max', minimum: 2 + 132 });
  });

  it('two descriptors per connection halve what fits into fs.file-max', () => {
    const containers = [container({ descriptorsPerConnection: 2 })];
    const result = accepting({ connections: 100_000 }, { containers }, { fileMax: 150_000 });
    expect(result.connections.reachable).toBe((150_000 - 64) / 2);
  });

  it('the sockets of a sidecar are files and watches of the node too', () => {
    const path: readonly Translator[] = [
      {
        type: 'Sidecar',
        name: 'proxy',
        addresses: 1,
        portsPerAddress: undefined,
        sharedBy: 'Pod',
        lingerSeconds: 0,
        idleTimeoutSeconds: undefined,
      },
    ];
    const result = accepting({ connections: 1000, path });
    expect(result.nodeMinimums).toContainEqual({ name: 'fs.file-max', minimum: 3064 });
    expect(result.nodeMinimums).toContainEqual({ name: 'fs.epoll.max_user_watches', minimum: 3000 });
  });

  it('a conntrack maximum of 0 is no limit', () => {
    expect(accepting({ connections: 1000 }, {}, { conntrackMax: 0 }).feasible).toBe(true);
  });

  it('conntrack counts every planned pod and what lingers for 120 s', () => {
    const result = opening(
      { connections: 1000, closesPerSecond: 10, closedBy: 'Peer' },
      { scale: { pods: 4, podsPerNode: 2, surgePercent: 50 } },
    );
    expect(result.nodeMinimums).toContainEqual({
      name: 'net.netfilter.nf_conntrack_max',
      minimum: 3 * (1000 + 10 * 120),
    });
  });

  it('without facts is Unknown and does not bind', () => {
    const result = accepting({ connections: 1_000_000 });
    expect(limitOf(result, 'net.netfilter.nf_conntrack_max')).toMatchObject({ status: 'Unknown', capacity: undefined });
    expect(result.feasible).toBe(true);
  });

  it('with facts binds exactly', () => {
    expect(accepting({ connections: 1000 }, {}, { conntrackMax: 1000 }).feasible).toBe(true);
    expect(accepting({ connections: 1001 }, {}, { conntrackMax: 1000 }).bindingLimit).toMatchObject({
      limit: 'net.netfilter.nf_conntrack_max',
      capacity: 1000,
    });
  });

  it.each([
    { queued: 0, pages: undefined },
    { queued: 1024, pages: 1000 },
    { queued: 65_536, pages: 17_000 }, // measured: 64 KB unread take 17 pages
  ])('$queued queued bytes take $pages pages of tcp_mem', ({ queued, pages }) => {
    const result = accepting({ connections: 1000 }, { queuedReceiveBytes: queued });
    expect(result.nodeMinimums.find(({ name }) => name === 'net.ipv4.tcp_mem')?.minimum).toBe(pages);
  });
});
