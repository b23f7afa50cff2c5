import type { Demand, InboundFlow, OutboundFlow } from './demand.ts';
import type { Terms } from './limit.ts';

/** A flow with headroom applied, once, before everything else. */
export interface Load<F extends InboundFlow | OutboundFlow = InboundFlow | OutboundFlow> {
  readonly flow: F;
  /** Position among all flows, inbound first. */
  readonly index: number;
  readonly connections: number;
  readonly closesPerSecond: number;
  /** Kernel sockets in the pod per connection: 1, and 2 more for each sidecar on the way. */
  readonly sockets: number;
}

export interface Loads {
  readonly inbound: readonly Load<InboundFlow>[];
  readonly outbound: readonly Load<OutboundFlow>[];
  readonly all: readonly Load[];
  readonly podsWithSurge: number;
  readonly podsPerNodeWithSurge: number;
}

/** Integers first: 500,000 and 10 % give exactly 550,000. */
const withHeadroom = (value: number, percent: number): number => Math.ceil((value * (100 + percent)) / 100);

/** Rates are not rounded: what they add up to over a time is. */
export const rateWithHeadroom = (perSecond: number, percent: number): number => (perSecond * (100 + percent)) / 100;

const loadFor =
  ({ headroomPercent }: Demand, offset: number) =>
  <F extends InboundFlow | OutboundFlow>(flow: F, position: number): Load<F> => ({
    flow,
    index: offset + position,
    connections: withHeadroom(flow.connections, headroomPercent),
    closesPerSecond: rateWithHeadroom(flow.closesPerSecond, headroomPercent),
    sockets: 1 + 2 * flow.path.filter(({ type }) => type === 'Sidecar').length,
  });

export const loadsFor = (demand: Demand): Loads => {
  const { pods, podsPerNode, surgePercent } = demand.scale;
  const inbound = demand.inbound.map(loadFor(demand, 0));
  const outbound = demand.outbound.map(loadFor(demand, inbound.length));
  return {
    inbound,
    outbound,
    all: [...inbound, ...outbound],
    podsWithSurge: withHeadroom(pods, surgePercent),
    podsPerNodeWithSurge: withHeadroom(podsPerNode, surgePercent),
  };
};

export const sumOf = <T>(items: readonly T[], amount: (item: T) => number): number => {
  let sum = 0;
  for (const item of items) sum += amount(item);
  return sum;
};

/** The terms that several flows have together; the caller adds what its limit counts besides. */
export const termsFor = (
  loads: readonly Load[],
): Pick<Terms, 'connections' | 'declared' | 'rate' | 'declaredRate'> => ({
  connections: sumOf(loads, (load) => load.connections),
  declared: sumOf(loads, (load) => load.flow.connections),
  rate: sumOf(loads, (load) => load.closesPerSecond),
  declaredRate: sumOf(loads, (load) => load.flow.closesPerSecond),
});
