export interface BackoffLimits {
  readonly baseMs: number;
  readonly maximumMs: number;
}

/**
 * The pause before attempt number `failures` + 1: doubles from `baseMs` up to `maximumMs`, of which the upper half is
 * random, so that many clients do not come back together. Base 1000, failures 3: 1000 × 2² = 4000, so 2000 to 4000.
 * What the server asked for (Retry-After) is a lower bound, with up to a tenth on top.
 */
export function backoffMs(limits: BackoffLimits, failures: number, retryAfterMs = 0): number {
  const ceilingMs = Math.min(limits.maximumMs, limits.baseMs * 2 ** Math.max(0, Math.min(failures, 31) - 1));
  const jitteredMs = ceilingMs / 2 + (Math.random() * ceilingMs) / 2;
  return Math.round(Math.max(jitteredMs, retryAfterMs * (1 + Math.random() / 10)));
}
