import { expect, it } from 'vitest';
import { reconnectDelayMsFor } from '../../src/nri/backoff.ts';

it.each([
  { attempt: 0, random: 0, delayMs: 25 }, // 50 / 2
  { attempt: 0, random: 1, delayMs: 50 },
  { attempt: 2, random: 0.5, delayMs: 150 }, // 50 × 2² = 200, 3/4 of it
  { attempt: 6, random: 0, delayMs: 1000 }, // 3200, at most 2000, half of it
  { attempt: 5000, random: 1, delayMs: 2000 },
])('attempt $attempt waits $delayMs ms at random $random', ({ attempt, random, delayMs }) => {
  expect(reconnectDelayMsFor(attempt, random)).toBe(delayMs);
});
