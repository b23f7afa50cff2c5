import { TtrpcError } from './error.ts';

/** setTimeout takes more than this for 1 ms. */
const longestTimerMs = 2 ** 31 - 1;

/** A signal that aborts after a time, or with its parent, and lets go of both when it is disposed of. */
export class Deadline implements Disposable {
  readonly signal: AbortSignal;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #release: () => void;

  constructor(parent: AbortSignal, timeoutMs: number | undefined) {
    const controller = new AbortController();
    const follow = (): void => controller.abort(parent.reason);
    const expire = (): void => controller.abort(new TtrpcError('DeadlineExceeded', `not done within ${timeoutMs} ms`));
    this.signal = controller.signal;
    this.#timer = timeoutMs === undefined ? undefined : setTimeout(expire, Math.min(timeoutMs, longestTimerMs));
    this.#release = () => parent.removeEventListener('abort', follow);
    parent.addEventListener('abort', follow, { once: true });
    if (parent.aborted) follow();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#release();
  }
}

/** Rejects with the signal's reason when it aborts; until then it waits. */
export function rejectedBy(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  return promise;
}
