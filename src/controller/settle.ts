import type { Observed, ObservedService } from '../api/demand.ts';

/**
 * A plan grows at once with what is observed and shrinks only when that has held for ten minutes, so that it does not
 * flap with a rollout. More pods make a plan grow; fewer endpoints and fewer clients do, for they share out tuples.
 */
export const settlingMs = 600_000;

export type Grows = 'WithMore' | 'WithFewer';

/** The value seen last, and those before it that ask for more and still hold, until ten minutes after they were seen. */
export interface Recent {
  readonly value: number;
  readonly held: readonly { readonly value: number; readonly untilMs: number }[];
}

/** Seen 4 pods, then 2: 4 holds for ten minutes. Seen 6 next: only 6 is left. */
const seen = (
  recent: Recent | undefined,
  value: number,
  { grows, nowMs }: { readonly grows: Grows; readonly nowMs: number },
): Recent => {
  if (recent === undefined) return { value, held: [] };
  const before = [...recent.held, { value: recent.value, untilMs: nowMs + settlingMs }];
  const asksForMore = (other: number): boolean => (grows === 'WithMore' ? other > value : other < value);
  return { value, held: before.filter((entry) => entry.untilMs > nowMs && asksForMore(entry.value)) };
};

/** The first that is held asks for most: whatever asked for less than a later one was dropped when that was seen. */
const settledValue = ({ value, held }: Recent): number => held[0]?.value ?? value;

/** By what was counted: `pods`, `podsPerNode`, `clients FLOW`, `endpoints NAMESPACE/NAME:PORT`. */
export type Memory = ReadonlyMap<string, Recent>;

export interface Settled {
  readonly observed: Observed;
  readonly memory: Memory;
  /** When the first value that only holds on runs out, counted from now; undefined: none does. */
  readonly settlesInMs: number | undefined;
}

type Count = (what: string, value: number) => number;

const settledScale = ({ scale }: Observed, count: Count): Observed['scale'] => {
  const pods = count('pods', scale?.pods ?? 0);
  const podsPerNode = count('podsPerNode', scale?.podsPerNode ?? 0);
  return pods === 0 ? undefined : { pods, podsPerNode: Math.max(1, podsPerNode) };
};

/** No endpoint at all is an outage or a start, not a number of targets: what was known last holds on. */
const settledTargets = (what: string, ready: number, count: Count): number => {
  const settled = count(what, ready === 0 ? Infinity : ready);
  return settled === Infinity ? 0 : settled;
};

const settledService = (key: string, service: ObservedService, count: Count): ObservedService => ({
  ...service,
  readyEndpoints: new Map(
    [...service.readyEndpoints].map(([port, ready]) => [
      port,
      settledTargets(`endpoints ${key}:${port}`, ready, count),
    ]),
  ),
});

/** What a plan is made for: what is observed now, and what was observed lately where that asks for more. */
export const settle = (memory: Memory, observed: Observed, nowMs: number): Settled => {
  const next = new Map<string, Recent>();
  const counting =
    (grows: Grows): Count =>
    (what, value) => {
      const recent = seen(memory.get(what), value, { grows, nowMs });
      next.set(what, recent);
      return settledValue(recent);
    };
  const targets = counting('WithFewer');
  const settled: Observed = {
    ...observed,
    scale: settledScale(observed, counting('WithMore')),
    services: new Map([...observed.services].map(([key, service]) => [key, settledService(key, service, targets)])),
    clientPods: new Map(
      [...observed.clientPods].map(([flow, pods]) => [flow, settledTargets(`clients ${flow}`, pods, targets)]),
    ),
  };
  const ends = [...next.values()].flatMap(({ held }) => held.map(({ untilMs }) => untilMs - nowMs));
  return { observed: settled, memory: next, settlesInMs: ends.length === 0 ? undefined : Math.min(...ends) };
};
