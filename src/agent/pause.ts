import { setTimeout as sleep } from 'node:timers/promises';

/** setTimeout takes more than this for 1 ms. */
const longestTimerMs = 2 ** 31 - 1;

/** Never rejects; false when the signal has aborted. */
export async function pause(delayMs: number, signal: AbortSignal): Promise<boolean> {
  await sleep(Math.min(delayMs, longestTimerMs), undefined, { signal }).catch(() => undefined);
  return !signal.aborted;
}
