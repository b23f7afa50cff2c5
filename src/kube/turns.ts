import { setImmediate as nextTurn } from 'node:timers/promises';

/** Work that is there already follows itself without a turn of the event loop: others get theirs after this. */
const longestSliceMs = 10;

/** To be awaited between two pieces of such work: at once, or after a turn when the slice is used up. */
export function createTurns(): () => Promise<void> {
  let sliceStartedAtMs = performance.now();
  return async () => {
    if (performance.now() - sliceStartedAtMs < longestSliceMs) return;
    await nextTurn();
    sliceStartedAtMs = performance.now();
  };
}
