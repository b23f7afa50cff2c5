import type { PodState } from './planned.ts';

/** A pod that has just started is seen by its agent a moment later: until then it is neither verified nor a shortfall. */
export const patienceMs = 30_000;

const leftMs = ({ startedAt }: PodState, now: Date): number => Date.parse(startedAt) + patienceMs - now.getTime();

export const isStarting = (state: PodState, now: Date): boolean => leftMs(state, now) > 0;

/** When the first pod that is only waited for has had its time, counted from now; undefined: there is none. */
export const patienceEndsInMs = (states: readonly PodState[], now: Date): number | undefined => {
  const starting = states.filter((state) => !state.isVerified && isStarting(state, now));
  return starting.length === 0 ? undefined : Math.min(...starting.map((state) => leftMs(state, now)));
};
