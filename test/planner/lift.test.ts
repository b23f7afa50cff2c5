import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Demand } from '../../src/planner/demand.ts';
import { liftOf } from '../../src/planner/lift.ts';
import type { LimitName } from '../../src/planner/limit.ts';
import { plan } from '../../src/planner/plan.ts';
import { container, demand, extra, inbound, outbound } from './demands.ts';

const liftIn = (base: Demand, name: LimitName, flow = '') => {
  const planned = plan(base);
  const limit = planned.limits.find((each) => each.limit === name && (flow === '' || each.flow === flow));
  return liftOf(base, planned, limit!);
};

const queues = [
  inbound({ name: 'slow', opensPerSecond: 6000, listenBacklog: 65_535 }),
  inbound({ name: 'fast', opensPerSecond: 9000, listenBacklog: 65_535 }),
  inbound({ name: 'short', opensPerSecond: 6000, listenBacklog: 7000 }),
];

describe('what lifts a limit', () => {
  it.each([
    {
      what: 'RLIMIT_NOFILE, to what one of four processes needs: 100,000 ÷ 4 + 64',
      base: demand({ containers: [container({ processes: 4 })], inbound: [inbound({ connections: 100_000 })] }),
      name: 'RLIMIT_NOFILE',
      lift: {
        settings: [{ name: 'RLIMIT_NOFILE', value: '25,064 soft, 25,064 hard', setBy: 'Agent' }],
        capacity: 25_064,
      },
    },
    {
      what: 'a wider range, to 10240–65535',
      base: demand({ outbound: [outbound({ connections: 30_000 })] }),
      name: 'net.ipv4.ip_local_port_range',
      lift: {
        settings: [{ name: 'net.ipv4.ip_local_port_range', value: '10240 65535', setBy: 'Kubelet' }],
        capacity: 55_296,
      },
    },
    {
      what: 'tcp_tw_reuse alone, which leaves the ports as many: 20,000 + 2,000/s × 2 s',
      base: demand({ outbound: [outbound({ connections: 20_000, closesPerSecond: 2000 })] }),
      name: 'net.ipv4.ip_local_port_range',
      lift: { settings: [{ name: 'net.ipv4.tcp_tw_reuse', value: '1', setBy: 'Agent' }], capacity: 28_232 },
    },
    {
      what: 'the widest range and four addresses, 4 × 64,512',
      base: demand({ outbound: [outbound({ connections: 250_000 })], ...extra(3) }),
      name: 'net.ipv4.ip_local_port_range',
      lift: {
        settings: [
          { name: 'net.ipv4.ip_local_port_range', value: '1024 65535', setBy: 'Kubelet' },
          { name: 'source addresses', value: '4', setBy: 'Agent' },
        ],
        capacity: 258_048,
      },
    },
    {
      what: 'tcp_max_tw_buckets, to 1,000/s × 61 s',
      base: demand({ outbound: [outbound({ connections: 10, closesPerSecond: 1000, destinationAddresses: 100 })] }),
      name: 'net.ipv4.tcp_max_tw_buckets',
      lift: {
        settings: [{ name: 'net.ipv4.tcp_max_tw_buckets', value: '61000', setBy: 'Agent' }],
        capacity: 61_000,
      },
    },
  ] as const)('is $what', ({ base, name, lift }) => {
    expect(liftIn(base, name)).toEqual(lift);
  });

  it.each([
    { flow: 'fast', capacity: 9000, why: 'needs the longest' },
    { flow: 'slow', capacity: 9000, why: 'has what another needs' },
    { flow: 'short', capacity: 7001, why: 'is bound by its own backlog then' },
  ])('is one somaxconn for all accept queues: $flow $why', ({ flow, capacity }) => {
    expect(liftIn(demand({ inbound: queues }), 'AcceptQueue', flow)).toEqual({
      settings: [{ name: 'net.core.somaxconn', value: '8999', setBy: 'Agent' }],
      capacity,
    });
  });

  it('is nothing where nothing has to be lifted, or can be', () => {
    expect(liftIn(demand({ inbound: [inbound()] }), 'fs.nr_open')).toBeUndefined();
    expect(
      liftIn(demand({ outbound: [outbound({ connections: 70_000 })] }), 'net.ipv4.ip_local_port_range'),
    ).toBeUndefined();
  });

  it('lifts every raised limit of a feasible plan far enough', () => {
    const flow = {
      connections: fc.integer({ min: 1, max: 200_000 }),
      closesPerSecond: fc.integer({ min: 0, max: 3000 }),
    };
    const demands = fc.record({
      inbound: fc.array(fc.record({ ...flow, opensPerSecond: fc.nat(20_000), listenBacklog: fc.nat(65_535) })),
      outbound: fc.array(fc.record({ ...flow, destinationAddresses: fc.integer({ min: 1, max: 9 }) })),
      maximumExtra: fc.nat(8),
    });
    fc.assert(
      fc.property(demands, ({ inbound: accepted, outbound: opened, maximumExtra }) => {
        const base = demand({
          inbound: accepted.map((changes, index) => inbound({ ...changes, name: `in-${index}` })),
          outbound: opened.map((changes, index) => outbound({ ...changes, name: `out-${index}` })),
          ...extra(maximumExtra),
        });
        const planned = plan(base);
        fc.pre(planned.feasible);
        for (const limit of planned.limits.filter(({ status }) => status === 'Raised')) {
          expect(liftOf(base, planned, limit)?.capacity).toBeGreaterThanOrEqual(limit.needed);
        }
      }),
    );
  });
});
