import type { LeaseTiming } from '../../src/kube/lease-record.ts';

/** A fifth of the real durations, in the same proportions. */
export const shortTiming: LeaseTiming = { leaseDurationMs: 3_000, renewDeadlineMs: 2_000, retryPeriodMs: 400 };
