/**
 * An abort signal that fires when the caller's does or after `timeoutMs`, whichever comes first. Disposing takes the
 * timer and the listener away: a signal that lives as long as the program must not collect one listener per call.
 */
export interface Deadline extends Disposable {
  readonly signal: AbortSignal;
  /** True when the time ran out and the caller had not given up before. */
  readonly hasExpired: () => boolean;
}

export function startDeadline(parent: AbortSignal, timeoutMs: number): Deadline {
  const controller = new AbortController();
  let expired = false;
  const onAbort = (): void => controller.abort(parent.reason);
  const timer = setTimeout(() => {
    expired = true;
    controller.abort(new Error(`no answer within ${timeoutMs} ms`));
  }, timeoutMs);
  if (parent.aborted) onAbort();
  parent.addEventListener('abort', onAbort, { once: true });
  return {
    signal: controller.signal,
    hasExpired: () => expired,
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      parent.removeEventListener('abort', onAbort);
    },
  };
}

/** Resolves after `delayMs`, or at once when the signal fires; never rejects. */
export async function sleep(delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted || delayMs <= 0) return;
  using pause = startDeadline(signal, delayMs);
  await new Promise<void>((resolve) => pause.signal.addEventListener('abort', () => resolve(), { once: true }));
}
