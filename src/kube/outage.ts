import { sleep } from './deadline.ts';

/** Even who knows that the server is back asks no more often. */
const leastPauseMs = 200;
/** A server that asks us and cannot be reached for longer is not back for this watch. */
const worthWaitingMs = 5000;

/** The time in which a watch cannot reach the server: from the first failure until it has what it missed. */
export class Outage {
  readonly #over = Promise.withResolvers<void>();
  #pause = new AbortController();
  #hurriedAtMs: number | undefined;

  /** Before the next attempt. */
  async pause(pauseMs: number, signal: AbortSignal): Promise<void> {
    await sleep(Math.min(pauseMs, leastPauseMs), signal);
    await sleep(pauseMs - leastPauseMs, AbortSignal.any([signal, this.#pause.signal]));
    this.#pause = new AbortController();
  }

  /** The server was heard of elsewhere: the pause ends. Resolves when the outage is over; undefined: that is not worth waiting for. */
  hurry(): Promise<void> | undefined {
    this.#pause.abort();
    this.#hurriedAtMs ??= performance.now();
    return performance.now() - this.#hurriedAtMs < worthWaitingMs ? this.#over.promise : undefined;
  }

  end(): void {
    this.#over.resolve();
  }
}
