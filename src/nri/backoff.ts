/** A runtime is back within seconds, pods that start before us go without: try again soon, and cheaply (one connect). */
const firstDelayMs = 50;
const longestDelayMs = 2000;

/**
 * The wait before attempt `attempt` (0 is the first after a failure): doubled each time up to the longest, half of it
 * random (`random` is in [0, 1)). Attempt 2: 100 … 200 ms.
 */
export function reconnectDelayMsFor(attempt: number, random: number): number {
  const ceilingMs = Math.min(firstDelayMs * 2 ** attempt, longestDelayMs);
  return (ceilingMs / 2) * (1 + random);
}
