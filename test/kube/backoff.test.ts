import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { backoffMs } from '../../src/kube/backoff.ts';

const limits = { baseMs: 1_000, maximumMs: 30_000 };

test.each([
  { failures: 0, ceilingMs: 1_000 },
  { failures: 1, ceilingMs: 1_000 },
  { failures: 2, ceilingMs: 2_000 },
  { failures: 3, ceilingMs: 4_000 },
  { failures: 5, ceilingMs: 16_000 },
  { failures: 6, ceilingMs: 30_000 },
  { failures: 5_000, ceilingMs: 30_000 },
])('after $failures failures the pause is between half of $ceilingMs ms and all of it', ({ failures, ceilingMs }) => {
  const pauses = Array.from({ length: 200 }, () => backoffMs(limits, failures));
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(ceilingMs / 2);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(ceilingMs);
  expect(new Set(pauses).size).toBeGreaterThan(20);
});

test('what the server asks for is never undercut, and exceeded by a tenth at most unless the own pause is longer', () => {
  fc.assert(
    fc.property(fc.nat(20), fc.nat(120_000), (failures, retryAfterMs) => {
      const pauseMs = backoffMs(limits, failures, retryAfterMs);
      expect(pauseMs).toBeGreaterThanOrEqual(retryAfterMs);
      expect(pauseMs).toBeLessThanOrEqual(Math.max(30_000, retryAfterMs * 1.1 + 1));
    }),
  );
});
