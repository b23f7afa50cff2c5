import { type BackoffLimits, backoffMs } from './backoff.ts';
import { sleep } from './deadline.ts';
import { isKubeError } from './kube-error.ts';
import { createTurns } from './turns.ts';

/** What a piece of work asks for: nothing more, or to be done again later without having failed. */
export interface WorkResult {
  readonly againAfterMs?: number;
}

export interface WorkQueueOptions {
  /** Throwing means: again, later and later. The signal fires when the queue stops. */
  readonly work: (key: string, signal: AbortSignal) => Promise<WorkResult>;
  readonly workers: number;
  /** A key's work failed; `failures` in a row. Must not throw. */
  readonly failed?: (failure: WorkFailure) => void;
  /** Default 500 to 300,000. */
  readonly backoff?: BackoffLimits;
  readonly signal: AbortSignal;
}

export interface WorkFailure {
  readonly key: string;
  readonly error: unknown;
  readonly failures: number;
  readonly retryInMs: number;
}

export interface WorkQueue {
  /** A key that waits already is not added twice; of two times the earlier counts. */
  readonly add: (key: string, when?: { readonly afterMs: number }) => void;
  /** To be worked on when nothing else waits: what has to be looked at once, although nothing changed. */
  readonly addUnhurried: (key: string) => void;
  /** Forgets a key's failures and what is planned for it; work under way goes on. */
  readonly forget: (key: string) => void;
  /** Keys that are due and wait for a worker. */
  readonly waiting: () => number;
  /** How long the first of them waits. */
  readonly oldestMs: () => number;
  /** Keys whose work failed last, and is tried again. */
  readonly failing: () => number;
  /** Resolves after the signal fired, when the last work under way has ended. */
  readonly drained: Promise<void>;
}

interface Delayed {
  readonly dueMs: number;
  readonly timer: NodeJS.Timeout;
}

/** setTimeout fires at once above 2^31 - 1 ms. */
const longestTimerMs = 2_147_483_647;

/** Keys to be worked on: each by one worker at a time, and once however often it was added meanwhile. */
export function startWorkQueue(options: WorkQueueOptions): WorkQueue {
  const queue = new Queue(options);
  options.signal.addEventListener('abort', () => queue.stop(), { once: true });
  if (options.signal.aborted) queue.stop();
  return {
    add: (key, when) => queue.add(key, when?.afterMs ?? 0),
    addUnhurried: (key) => queue.addUnhurried(key),
    forget: (key) => queue.forget(key),
    waiting: () => queue.due.size + queue.unhurried.size,
    oldestMs: () => queue.oldestMs(),
    failing: () => queue.failures.size,
    drained: queue.drained.promise,
  };
}

class Queue {
  /** Since when each key is due, the first to be worked on first. */
  readonly due = new Map<string, number>();
  /** The same for those that wait until nothing is due. */
  readonly unhurried = new Map<string, number>();
  readonly failures = new Map<string, number>();
  readonly running = new Set<string>();
  readonly drained = Promise.withResolvers<void>();
  readonly #delayed = new Map<string, Delayed>();
  readonly #turn = createTurns();
  readonly #options: WorkQueueOptions;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  add(key: string, afterMs: number): void {
    if (this.#options.signal.aborted) return;
    if (afterMs > 0) {
      this.#delay(key, Math.min(afterMs, longestTimerMs));
      return;
    }
    this.#cancelDelay(key);
    if (!this.due.has(key)) this.due.set(key, this.unhurried.get(key) ?? performance.now());
    this.unhurried.delete(key);
    this.#dispatch();
  }

  addUnhurried(key: string): void {
    if (this.#options.signal.aborted || this.due.has(key) || this.unhurried.has(key)) return;
    this.unhurried.set(key, performance.now());
    this.#dispatch();
  }

  oldestMs(): number {
    const nowMs = performance.now();
    const [since = nowMs] = this.due.values();
    const [sinceUnhurried = nowMs] = this.unhurried.values();
    return nowMs - Math.min(since, sinceUnhurried);
  }

  forget(key: string): void {
    this.failures.delete(key);
    this.#cancelDelay(key);
    this.due.delete(key);
    this.unhurried.delete(key);
  }

  stop(): void {
    for (const key of this.#delayed.keys()) this.#cancelDelay(key);
    this.due.clear();
    this.unhurried.clear();
    if (this.running.size === 0) this.drained.resolve();
  }

  #delay(key: string, afterMs: number): void {
    const dueMs = performance.now() + afterMs;
    const planned = this.#delayed.get(key);
    if (this.due.has(key) || (planned !== undefined && planned.dueMs <= dueMs)) return;
    this.#cancelDelay(key);
    this.#delayed.set(key, { dueMs, timer: setTimeout(() => this.add(key, 0), afterMs) });
  }

  #cancelDelay(key: string): void {
    clearTimeout(this.#delayed.get(key)?.timer);
    this.#delayed.delete(key);
  }

  /** A key that is due while it is worked on waits for its own end, and blocks no other. */
  #dispatch(): void {
    for (const waiting of [this.due, this.unhurried])
      for (const key of waiting.keys()) {
        if (this.running.size >= this.#options.workers) return;
        if (this.running.has(key)) continue;
        waiting.delete(key);
        this.running.add(key);
        void this.#workOn(key);
      }
  }

  async #workOn(key: string): Promise<void> {
    const { work, signal } = this.#options;
    try {
      const { againAfterMs } = await work(key, signal);
      this.failures.delete(key);
      if (againAfterMs !== undefined) this.add(key, againAfterMs);
    } catch (error) {
      this.#retry(key, error);
      await this.#pauseAfter(error);
    } finally {
      await this.#turn();
      this.running.delete(key);
      if (!signal.aborted) this.#dispatch();
      else if (this.running.size === 0) this.drained.resolve();
    }
  }

  /** Who was told that it asks too much asks for nothing else until then; those that were answered go on. */
  async #pauseAfter(error: unknown): Promise<void> {
    if (isKubeError(error, 'TooManyRequests')) await sleep(error.retryAfterMs ?? 0, this.#options.signal);
  }

  #retry(key: string, error: unknown): void {
    if (this.#options.signal.aborted) return;
    const failures = (this.failures.get(key) ?? 0) + 1;
    this.failures.set(key, failures);
    const limits = this.#options.backoff ?? { baseMs: 500, maximumMs: 300_000 };
    const retryInMs = backoffMs(limits, failures, isKubeError(error) ? error.retryAfterMs : undefined);
    this.add(key, retryInMs);
    this.#options.failed?.({ key, error, failures, retryInMs });
  }
}
