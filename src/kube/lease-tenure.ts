import { sleep } from './deadline.ts';
import { isKubeError, KubeError } from './kube-error.ts';
import type { Held, LeaseHolder } from './lease-holder.ts';
import type { LeaseTiming } from './lease-record.ts';

/** Holding a Lease: renews it until it is given back, and knows when it must be taken for lost. */
export interface Tenure {
  /** Fires when the Lease is lost, or with the signal that was given. */
  readonly signal: AbortSignal;
  readonly holds: () => boolean;
  readonly isLost: () => boolean;
  /** Ends the renewals and, if the Lease is still ours, lets go of it. Never throws. */
  readonly giveBack: () => Promise<void>;
}

export interface TenureOptions {
  readonly holder: LeaseHolder;
  readonly first: Held;
  readonly timing: LeaseTiming;
  readonly signal: AbortSignal;
  readonly callFailed: (error: unknown) => void;
  readonly lost: (error: unknown) => void;
}

export function startTenure(options: TenureOptions): Tenure {
  const tenure = new RenewedTenure(options);
  const renewals = tenure.renewUntilOver();
  return {
    signal: tenure.term.signal,
    holds: () => tenure.holds(),
    isLost: () => tenure.isLost,
    giveBack: async () => {
      tenure.over.abort();
      await renewals;
      await tenure.release();
    },
  };
}

class RenewedTenure {
  readonly term = new AbortController();
  readonly over = new AbortController();
  isLost = false;
  readonly #options: TenureOptions;
  #held: Held;
  #deadline: NodeJS.Timeout | undefined;

  constructor(options: TenureOptions) {
    this.#options = options;
    this.#held = options.first;
    const stop = (): void => this.term.abort(options.signal.reason);
    options.signal.addEventListener('abort', stop, { once: true, signal: this.over.signal });
    if (options.signal.aborted) stop();
    this.#extend(options.first);
  }

  /** Counted from the start of the request: what the others saw can only be later. */
  #remainingMs(): number {
    return this.#held.sinceMs + this.#options.timing.renewDeadlineMs - performance.now();
  }

  holds(): boolean {
    return !this.isLost && this.#remainingMs() > 0;
  }

  #extend(held: Held): void {
    this.#held = held;
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#lose(overdue()), Math.max(0, this.#remainingMs()));
  }

  #lose(error: unknown): void {
    if (this.isLost) return;
    this.isLost = true;
    clearTimeout(this.#deadline);
    this.term.abort(error);
    this.over.abort();
    this.#options.lost(error);
  }

  /** Goes on while the leader is stopping, for until it has stopped nobody else may begin. */
  async renewUntilOver(): Promise<void> {
    const { timing } = this.#options;
    for (;;) {
      await sleep(timing.retryPeriodMs, this.over.signal);
      if (this.over.signal.aborted || !this.holds()) return;
      await this.#renew();
    }
  }

  async #renew(): Promise<void> {
    const { holder, timing } = this.#options;
    // Short enough for another attempt before the deadline.
    const timeoutMs = Math.min(this.#remainingMs(), 2 * timing.retryPeriodMs);
    try {
      this.#extend(await holder.renew(this.#held, { signal: this.over.signal, timeoutMs }));
    } catch (error) {
      if (this.over.signal.aborted) return;
      if (isKubeError(error, 'NotLeading')) this.#lose(error);
      else this.#options.callFailed(error);
    }
  }

  async release(): Promise<void> {
    clearTimeout(this.#deadline);
    // A pause of the process may have been longer than the timer that should have noticed it.
    if (!this.holds()) {
      this.#lose(overdue());
      return;
    }
    try {
      await this.#options.holder.release(this.#held);
    } catch (error) {
      this.#options.callFailed(error);
    }
  }
}

function overdue(): KubeError {
  return new KubeError('the lease was not renewed in time', { kind: 'NotLeading' });
}
