import { microTime } from './event.ts';
import type { Lease } from './resources.ts';

/**
 * Durations of a Lease election. A leader stops `renewDeadlineMs` after the start of its last renewal that succeeded;
 * another one waits `leaseDurationMs` after it saw that renewal, which is later than its start. So between the two lie
 * at least leaseDurationMs - renewDeadlineMs (5 s by default), whatever the clocks of the machines say.
 */
export interface LeaseTiming {
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
}

/** What client-go's election uses by default. */
export const defaultLeaseTiming: LeaseTiming = {
  leaseDurationMs: 15_000,
  renewDeadlineMs: 10_000,
  retryPeriodMs: 2_000,
};

/** A Lease as we last saw it, and since when (our monotonic clock) it has been like that. */
export interface Observation {
  readonly resourceVersion: string;
  readonly sinceMs: number;
}

export function observe(lease: Lease, before: Observation | undefined, nowMs: number): Observation {
  const resourceVersion = lease.metadata?.resourceVersion ?? '';
  return before?.resourceVersion === resourceVersion ? before : { resourceVersion, sinceMs: nowMs };
}

/** After how long it may be taken: at once where nobody holds it or we do, else when its holder has not renewed it in time. */
export function freeInMs(
  lease: Lease,
  holder: string,
  seen: { readonly observation: Observation; readonly nowMs: number },
): number {
  const { holderIdentity = '', leaseDurationSeconds = 0 } = lease.spec ?? {};
  if (holderIdentity === '' || holderIdentity === holder) return 0;
  return Math.max(0, seen.observation.sinceMs + leaseDurationSeconds * 1000 - seen.nowMs);
}

export interface Claim {
  readonly holder: string;
  readonly leaseDurationMs: number;
  /** Only for people to read: no decision depends on the wall clock. */
  readonly now: Date;
}

/** The Lease with us as its holder. A new holder is one more transition. */
export function claimed(lease: Lease, { holder, leaseDurationMs, now }: Claim): Lease {
  const before = lease.spec ?? {};
  const isRenewal = before.holderIdentity === holder;
  return {
    ...lease,
    spec: {
      ...before,
      holderIdentity: holder,
      leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000),
      acquireTime: isRenewal ? (before.acquireTime ?? microTime(now)) : microTime(now),
      renewTime: microTime(now),
      leaseTransitions: (before.leaseTransitions ?? 0) + (isRenewal ? 0 : 1),
    },
  };
}

/** The Lease without a holder, so that nobody has to wait for it to expire. */
export function released(lease: Lease, now: Date): Lease {
  return { ...lease, spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime(now) } };
}
