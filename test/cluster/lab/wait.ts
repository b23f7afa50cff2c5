import { setTimeout as delay } from 'node:timers/promises';
import { LabError } from './lab-error.ts';

export type WaitOptions = {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly intervalMs?: number;
};

/** Polls until `check` gives something other than undefined or false. A check that throws is asked again. */
export async function waitFor<T>(
  what: string,
  check: () => Promise<T | undefined | false>,
  options: WaitOptions,
): Promise<T> {
  const deadline = performance.now() + options.timeoutMs;
  let cause: unknown;
  while (performance.now() < deadline) {
    try {
      const value = await check();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      if (error instanceof LabError && error.kind === 'DaemonExited') throw error;
      cause = error;
    }
    await delay(options.intervalMs ?? 50, undefined, { signal: options.signal });
  }
  throw new LabError('NotReady', `${what}: not so after ${options.timeoutMs} ms`, { cause });
}
