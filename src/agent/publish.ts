import type { ConnectionNodeStatus } from '../api/connection-node.ts';
import { KubeError } from '../kube/connection-node.ts';
import { pause } from './pause.ts';
import { differenceBetween } from './report.ts';

export interface PublishTiming {
  /** Events come in bursts: what follows within this time goes into one write. */
  readonly debounceMs: number;
  /** The shortest time between two writes: while pods come and go, each differs from the one before. */
  readonly betweenWritesMs: number;
  /** The same where they differ in usage alone. */
  readonly usageEveryMs: number;
  /** The same is written again after this time: the object may have been deleted. */
  readonly repeatEveryMs: number;
  /** Between attempts while the API server takes nothing: doubled from the first up to the longest. */
  readonly firstRetryMs: number;
  readonly longestRetryMs: number;
}

export const usualTiming: PublishTiming = {
  debounceMs: 200,
  betweenWritesMs: 1000,
  usageEveryMs: 30_000,
  repeatEveryMs: 600_000,
  firstRetryMs: 1000,
  longestRetryMs: 60_000,
};

/** What the API server took last, and when (performance.now(): a clock that is set back would hold up the next one). */
export interface Published {
  readonly status: ConnectionNodeStatus;
  readonly atMs: number;
}

/** Milliseconds to wait before `status` is to be written: 0 at once, Infinity not before something changes. */
export function publishDelayMs(
  status: ConnectionNodeStatus,
  last: Published | undefined,
  { nowMs, timing }: { readonly nowMs: number; readonly timing: PublishTiming },
): number {
  if (last === undefined) return 0;
  const after = (durationMs: number): number => Math.max(0, last.atMs + durationMs - nowMs);
  const difference = differenceBetween(status, last.status);
  if (difference === 'Facts') return after(timing.betweenWritesMs);
  return after(difference === 'Usage' ? timing.usageEveryMs : timing.repeatEveryMs);
}

/** The wait after `failures` failures in a row (1 or more): doubled, half of it random. `random` is in [0, 1). */
export function retryDelayMs(failures: number, random: number, timing: PublishTiming): number {
  const ceilingMs = Math.min(timing.longestRetryMs, timing.firstRetryMs * 2 ** Math.min(failures - 1, 20));
  return (ceilingMs / 2) * (1 + random);
}

export interface PublisherOptions {
  /** Before the first write, which would wipe out what is there; repeated until it succeeds. */
  readonly prepare: (signal: AbortSignal) => Promise<void>;
  readonly read: () => ConnectionNodeStatus;
  /** An error may ask for more time (`retryAfterMs`). */
  readonly write: (status: ConnectionNodeStatus, signal: AbortSignal) => Promise<void>;
  readonly onWrite: (error: unknown) => void;
  readonly timing: PublishTiming;
}

/** Keeps what the API server has equal to what the agent knows, with as few writes as that takes. */
export class Publisher {
  readonly #options: PublisherOptions;
  #changed = Promise.withResolvers<void>();
  #last: Published | undefined;
  #failures = 0;
  #isPrepared = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Something that is published may have changed. */
  notify(): void {
    this.#changed.resolve();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { timing, read } = this.#options;
    while (!signal.aborted) {
      this.#changed = Promise.withResolvers();
      const delayMs = publishDelayMs(read(), this.#last, { nowMs: performance.now(), timing });
      if (delayMs > 0) await this.#changeOr(delayMs, signal);
      else await this.#write(signal);
    }
  }

  /** One attempt, whatever was published before: the last word of an agent that ends. */
  async writeNow(signal: AbortSignal): Promise<void> {
    await this.#attempt(signal);
  }

  async #write(signal: AbortSignal): Promise<void> {
    const retryAfterMs = await this.#attempt(signal);
    const { timing } = this.#options;
    if (this.#failures === 0) return;
    await pause(Math.max(retryAfterMs, retryDelayMs(this.#failures, Math.random(), timing)), signal);
  }

  async #attempt(signal: AbortSignal): Promise<number> {
    const { prepare, read, write } = this.#options;
    try {
      if (!this.#isPrepared) await prepare(signal);
      this.#isPrepared = true;
      const status = read();
      await write(status, signal);
      this.#last = { status, atMs: performance.now() };
      this.#failures = 0;
      this.#options.onWrite(undefined);
      return 0;
    } catch (error) {
      if (signal.aborted) return 0;
      this.#failures += 1;
      this.#options.onWrite(error);
      return retryAfterMsOf(error);
    }
  }

  /** Until something changes and settles for the debounce, or the time is over. */
  async #changeOr(delayMs: number, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    await Promise.race([this.#changed.promise, pause(delayMs, either)]);
    over.abort();
    await pause(Math.min(delayMs, this.#options.timing.debounceMs), signal);
  }
}

const retryAfterMsOf = (error: unknown): number => (error instanceof KubeError ? (error.retryAfterMs ?? 0) : 0);
