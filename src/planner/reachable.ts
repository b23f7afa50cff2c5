import type { Limit } from './limit.ts';
import { type Loads, sumOf } from './load.ts';

/**
 * reachable = the smaller of what flows share and the sum over the flows of each one's own smallest capacity. A limit that
 * several flows share bounds, with what the others can reach, the sum; limits of one kind that concern different flows (the
 * descriptors of two containers) bound it together.
 */
const ownReach = (limits: readonly Limit[], loads: Loads): readonly number[] => {
  const own = loads.all.map(() => Infinity);
  for (const { concerns, reachable } of limits) {
    const [flow, ...others] = concerns ?? [];
    if (flow !== undefined && others.length === 0) own[flow] = Math.min(own[flow] ?? Infinity, reachable);
  }
  return own;
};

/** Beside a flow that is bound, one that nothing bounds counts with what it declares, not as infinite. */
const ownReachBeside = (limits: readonly Limit[], loads: Loads): readonly number[] =>
  ownReach(limits, loads).map((reach, flow) => (reach === Infinity ? (loads.all[flow]?.flow.connections ?? 0) : reach));

/** What all flows reach together under these limits, none of which shares a flow with another. */
const boundOf = (limits: readonly Limit[], own: readonly number[]): number => {
  let bound = 0;
  const covered = new Set<number>();
  for (const { concerns, reachable } of limits) {
    if (concerns === undefined) return reachable;
    for (const flow of concerns) covered.add(flow);
    bound += Math.min(
      reachable,
      sumOf(concerns, (flow) => own[flow] ?? Infinity),
    );
  }
  for (const [flow, reach] of own.entries()) if (!covered.has(flow)) bound += reach;
  return bound;
};

/** Limits of one kind, where they concern different flows; otherwise each alone. */
const families = (limits: readonly Limit[]): readonly (readonly Limit[])[] =>
  [...Map.groupBy(limits, ({ stage, limit }) => `${stage} ${limit}`).values()].flatMap((family) => {
    const flows = family.flatMap(({ concerns }) => concerns ?? []);
    return new Set(flows).size === flows.length ? [family] : family.map((limit) => [limit]);
  });

const isFlowBound = ({ kind, status, concerns }: Limit): boolean =>
  kind === 'Count' && status === 'Binding' && concerns !== undefined;

/** Where nothing bounds the connections (a node that says nothing), what is planned. */
export const reachableConnections = (limits: readonly Limit[], loads: Loads): number => {
  const counts = limits.filter(({ kind, reachable }) => kind === 'Count' && reachable < Infinity);
  const own = counts.some(isFlowBound) ? ownReachBeside(counts, loads) : ownReach(counts, loads);
  let smallest = sumOf(own, (reach) => reach);
  for (const family of families(counts)) smallest = Math.min(smallest, boundOf(family, own));
  return smallest === Infinity ? sumOf(loads.all, (load) => load.connections) : smallest;
};

/** What the flows that a limit does not concern reach by themselves. */
const othersThan = (concerns: Limit['concerns'], own: readonly number[]): readonly number[] =>
  concerns === undefined ? [] : own.filter((_, flow) => !concerns.includes(flow));

/**
 * The binding limit that makes the reachable number smallest; when only rates fall short, the one with the smallest
 * capacity ÷ needed. undefined: the plan is feasible.
 */
export const bindingLimitOf = (limits: readonly Limit[], loads: Loads): Limit | undefined => {
  const binding = limits.filter(({ status }) => status === 'Binding');
  const counts = binding.filter(({ kind }) => kind === 'Count');
  const own = ownReachBeside(counts, loads);
  const rank =
    counts.length > 0
      ? ({ reachable, concerns }: Limit): number => reachable + sumOf(othersThan(concerns, own), (reach) => reach)
      : ({ capacity = 0, needed }: Limit): number => capacity / needed;
  let first: Limit | undefined;
  for (const limit of counts.length > 0 ? counts : binding) {
    if (first === undefined || rank(limit) < rank(first)) first = limit;
  }
  return first;
};
