import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Demand, InboundFlow, NodeFacts, OutboundFlow, Translator } from '../../src/planner/demand.ts';
import { plan } from '../../src/planner/plan.ts';
import { container, demand, inbound, outbound } from './demands.ts';

const translator: fc.Arbitrary<Translator> = fc.record({
  type: fc.constantFrom('NAT', 'LoadBalancer'),
  name: fc.constant('gw'),
  addresses: fc.integer({ min: 1, max: 8 }),
  portsPerAddress: fc.integer({ min: 100, max: 65_535 }),
  sharedBy: fc.constantFrom('Pod', 'Node', 'Cluster'),
  lingerSeconds: fc.integer({ min: 0, max: 120 }),
  idleTimeoutSeconds: fc.option(fc.integer({ min: 1, max: 3600 }), { nil: undefined }),
});

const path = fc
  .array(translator, { maxLength: 2 })
  .map((hops) => hops.map((hop, index) => ({ ...hop, name: `hop-${index}` })));

const inboundFlow: fc.Arbitrary<InboundFlow> = fc
  .record({
    connections: fc.integer({ min: 1, max: 2_000_000 }),
    closesPerSecond: fc.integer({ min: 0, max: 1000 }),
    closedBy: fc.constantFrom('Pod', 'Peer'),
    path,
    clients: fc.option(
      fc.record({ addresses: fc.integer({ min: 1, max: 50 }), portsPerAddress: fc.integer({ min: 1, max: 65_535 }) }),
      { nil: undefined },
    ),
  })
  .map(inbound);

const outboundFlow: fc.Arbitrary<OutboundFlow> = fc
  .record({
    connections: fc.integer({ min: 1, max: 2_000_000 }),
    closesPerSecond: fc.integer({ min: 0, max: 1000 }),
    closedBy: fc.constantFrom('Pod', 'Peer'),
    path,
    binding: fc.constantFrom('Late', 'Early', 'Explicit'),
    portSelection: fc.constantFrom('Kernel', 'Program', 'Spread'),
    destinationAddresses: fc.integer({ min: 1, max: 20 }),
    destinationPorts: fc.integer({ min: 1, max: 3 }),
    largestSharePercent: fc.option(fc.integer({ min: 1, max: 100 }), { nil: undefined }),
    maxConnectionsPerAddress: fc.option(fc.integer({ min: 1, max: 500_000 }), { nil: undefined }),
  })
  .map(outbound);

const node: fc.Arbitrary<NodeFacts> = fc.record({
  nrOpen: fc.integer({ min: 20_000, max: 2_000_000 }),
  conntrackMax: fc.option(fc.integer({ min: 1000, max: 4_000_000 }), { nil: undefined }),
  fileMax: fc.option(fc.integer({ min: 1000, max: 4_000_000 }), { nil: undefined }),
});

const around = fc.record({
  containers: fc
    .record({
      processes: fc.integer({ min: 1, max: 16 }),
      reservedDescriptors: fc.integer({ min: 0, max: 1000 }),
      descriptorsPerConnection: fc.integer({ min: 1, max: 3 }),
    })
    .map((changes) => [container(changes)]),
  scale: fc.record({
    pods: fc.integer({ min: 1, max: 20 }),
    podsPerNode: fc.integer({ min: 1, max: 5 }),
    surgePercent: fc.integer({ min: 0, max: 100 }),
  }),
  extraAddresses: fc.record({
    maximumExtra: fc.integer({ min: 0, max: 8 }),
    spread: fc.constantFrom('Transparent', 'Application'),
    ownCounts: fc.boolean(),
  }),
});

const oneFlow: fc.Arbitrary<Demand> = fc.oneof(
  fc.tuple(inboundFlow, around).map(([flow, rest]) => demand({ ...rest, inbound: [flow] })),
  fc.tuple(outboundFlow, around).map(([flow, rest]) => demand({ ...rest, outbound: [flow] })),
);

const holding = (base: Demand, connections: number): Demand => ({
  ...base,
  inbound: base.inbound.map((flow) => ({ ...flow, connections })),
  outbound: base.outbound.map((flow) => ({ ...flow, connections })),
});

const countLimitBinds = (base: Demand, facts: NodeFacts): boolean =>
  plan(base, facts).limits.some(({ status, kind }) => status === 'Binding' && kind === 'Count');

describe('any demand of one flow', () => {
  it('holds what is said to be reachable, and not one connection more', () => {
    fc.assert(
      fc.property(oneFlow, node, (base, facts) => {
        // The demand is so large that every limit is raised as far as it can be.
        const { reachable } = plan(holding(base, 1e12), facts).connections;
        fc.pre(reachable > 0);
        expect(countLimitBinds(holding(base, reachable), facts)).toBe(false);
        expect(countLimitBinds(holding(base, reachable + 1), facts)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('fits into the memory with what is said to be reachable', () => {
    fc.assert(
      fc.property(oneFlow, fc.integer({ min: 2 ** 30, max: 2 ** 40 }), (base, memoryBytes) => {
        const { reachable } = plan(holding(base, 1e12), { memoryBytes }).connections;
        fc.pre(reachable > 0);
        expect(countLimitBinds(holding(base, reachable), { memoryBytes })).toBe(false);
      }),
    );
  });

  it('is bound exactly when a limit needs more than it holds', () => {
    fc.assert(
      fc.property(oneFlow, node, (base, facts) => {
        const { feasible, limits, bindingLimit } = plan(base, facts);
        const short = limits.filter(
          ({ status, capacity, needed }) => status === 'Binding' && needed > (capacity ?? Infinity),
        );
        expect(feasible).toBe(short.length === 0);
        expect(limits.filter(({ status }) => status === 'Binding')).toEqual(short);
        expect(bindingLimit === undefined || short.includes(bindingLimit)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it('never needs less for one connection more', () => {
    fc.assert(
      fc.property(oneFlow, node, (base, facts) => {
        const { connections } = [...base.inbound, ...base.outbound][0]!;
        const more = plan(holding(base, connections + 1), facts);
        const needs = new Map(
          more.limits.map((limit) => [`${limit.stage} ${limit.limit} ${limit.subject}`, limit.needed]),
        );
        // tcp_tw_reuse shortens TIME_WAIT only when a limit is passed, so ports are compared where it is set in both.
        const before = plan(base, facts);
        fc.pre(
          before.sysctls.some(({ name }) => name.endsWith('tw_reuse')) ===
            more.sysctls.some(({ name }) => name.endsWith('tw_reuse')),
        );
        for (const limit of before.limits) {
          expect(needs.get(`${limit.stage} ${limit.limit} ${limit.subject}`)).toBeGreaterThanOrEqual(limit.needed);
        }
        expect(before.feasible || !more.feasible).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it('is planned the same twice', () => {
    fc.assert(
      fc.property(oneFlow, node, (base, facts) => {
        expect(plan(base, facts)).toEqual(plan(base, facts));
      }),
    );
  });

  it('with headroom is the demand of so many more connections', () => {
    fc.assert(
      fc.property(inboundFlow, fc.integer({ min: 0, max: 1000 }), (flow, headroomPercent) => {
        const padded = plan(demand({ inbound: [{ ...flow, closesPerSecond: 0 }], headroomPercent }));
        const connections = Math.ceil((flow.connections * (100 + headroomPercent)) / 100);
        const larger = plan(demand({ inbound: [{ ...flow, closesPerSecond: 0, connections }] }));
        expect(padded.limits.map(({ needed }) => needed)).toEqual(larger.limits.map(({ needed }) => needed));
        expect(padded.feasible).toBe(larger.feasible);
      }),
    );
  });
});

describe('several flows', () => {
  it('reach no more than the sum of what each reaches alone', () => {
    fc.assert(
      fc.property(inboundFlow, outboundFlow, node, (accepts, opens, facts) => {
        const together = plan(demand({ inbound: [accepts], outbound: [opens] }), facts).connections.reachable;
        const alone = [demand({ inbound: [accepts] }), demand({ outbound: [opens] })].map(
          (base) => plan(base, facts).connections.reachable,
        );
        expect(together).toBeLessThanOrEqual(alone[0]! + alone[1]!);
      }),
    );
  });
});
