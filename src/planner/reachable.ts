import type { Limit } from './limit.ts';

/**
 * reachable = the smaller of what all flows share and the sum over the flows of each one's own smallest capacity. A limit
 * that concerns some flows bounds each of them and, with what the others can reach, the sum.
 */
const ownReach = (limits: readonly Limit[], flowCount: number): readonly number[] => {
  const own = Array.from({ length: flowCount }, () => Infinity);
  for (const { concerns, reachable } of limits) {
    for (const flow of concerns ?? []) own[flow] = Math.min(own[flow] ?? Infinity, reachable);
  }
  return own;
};

/** What the budget can reach in all if this were the only limit besides the other flows' own. */
const boundOf = ({ concerns, reachable }: Limit, own: readonly number[]): number => {
  if (concerns === undefined) return reachable;
  let bound = reachable;
  for (const [flow, reach] of own.entries()) if (!concerns.includes(flow)) bound += reach;
  return bound;
};

export const reachableConnections = (limits: readonly Limit[], flowCount: number): number => {
  const own = ownReach(limits, flowCount);
  let smallest = own.reduce((sum, reach) => sum + reach, 0);
  for (const limit of limits) {
    if (limit.kind === 'Count') smallest = Math.min(smallest, boundOf(limit, own));
  }
  return smallest;
};

/**
 * The binding limit that makes the reachable number smallest; when only rates fall short, the one with the smallest
 * capacity ÷ needed. undefined: the plan is feasible.
 */
export const bindingLimitOf = (limits: readonly Limit[], flowCount: number): Limit | undefined => {
  const binding = limits.filter(({ status }) => status === 'Binding');
  const counts = binding.filter(({ kind }) => kind === 'Count');
  const own = counts.length > 0 ? ownReach(limits, flowCount) : [];
  const rank =
    counts.length > 0
      ? (limit: Limit): number => boundOf(limit, own)
      : ({ capacity = 0, needed }: Limit): number => capacity / needed;
  const candidates = counts.length > 0 ? counts : binding;
  let first: Limit | undefined;
  for (const limit of candidates) if (first === undefined || rank(limit) < rank(first)) first = limit;
  return first;
};
