import { sleep } from './deadline.ts';

/** Even who knows that the server is back asks no more often. */
const leastPauseMs = 200;
/** How long whoever hurries waits for it, at most. */
const waitsMs = 1000;
/** A server that is heard of all the time and cannot be reached for longer is not back for this watch. */
const worthWaitingMs = 5000;

/** The time in which a watch cannot reach the server: from the first failure until it has what it missed. */
export class Outage {
  readonly #over = Promise.withResolvers<void>();
  #pause = new AbortController();
  #heardSinceMs = Number.NEGATIVE_INFINITY;
  #heardLastMs = Number.NEGATIVE_INFINITY;
  #hasAnswered = false;

  /** Before the next attempt. */
  async pause(pauseMs: number, signal: AbortSignal): Promise<void> {
    this.#pause = new AbortController();
    await sleep(Math.min(pauseMs, leastPauseMs), signal);
    const isWaitedFor = this.#isWorthWaiting() && performance.now() - this.#heardLastMs < waitsMs;
    if (!isWaitedFor) await sleep(pauseMs - leastPauseMs, AbortSignal.any([signal, this.#pause.signal]));
  }

  /** The server was heard of elsewhere: the pause ends. Resolves when the outage is over; undefined: that is not worth waiting for. */
  hurry(): Promise<void> | undefined {
    const nowMs = performance.now();
    if (nowMs - this.#heardLastMs >= worthWaitingMs) this.#heardSinceMs = nowMs;
    this.#heardLastMs = nowMs;
    if (!this.#isWorthWaiting()) return undefined;
    this.#pause.abort();
    return this.#over.promise;
  }

  #isWorthWaiting(): boolean {
    return this.#heardLastMs - this.#heardSinceMs < worthWaitingMs;
  }

  /** True once: the server answers again, though not yet with what was missed. */
  isFirstAnswer(): boolean {
    const isFirst = !this.#hasAnswered;
    this.#hasAnswered = true;
    return isFirst;
  }

  end(): void {
    this.#over.resolve();
  }
}
