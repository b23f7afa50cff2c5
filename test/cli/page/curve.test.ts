import fc from 'fast-check';
import { expect, it } from 'vitest';
import { pointsOf, ticksUpTo } from '../../../src/cli/page/curve.ts';

const flow = (held: number, seconds: number) => ({
  flow: 'any',
  opened: held,
  accepted: held,
  seconds,
  stop: undefined,
  curve: [
    { ms: 0, held: 0 },
    { ms: seconds * 1000, held },
  ],
});

it('flows that are opened one after the other are one curve of all that is held', () => {
  expect(pointsOf({ flows: [flow(100, 2), flow(50, 1), flow(5, 1)] })).toEqual([
    { seconds: 0, held: 0 },
    { seconds: 2, held: 100 },
    { seconds: 2, held: 100 },
    { seconds: 3, held: 150 },
    { seconds: 3, held: 150 },
    { seconds: 4, held: 155 },
  ]);
});

it.each([
  { most: 29_000, steps: 4, ticks: [0, 10_000, 20_000, 30_000] },
  { most: 1.21, steps: 5, ticks: [0, 0.25, 0.5, 0.75, 1, 1.25] },
  { most: 0.3, steps: 5, ticks: [0, 0.1, 0.2, 0.3] },
  { most: 1_000_000, steps: 4, ticks: [0, 250_000, 500_000, 750_000, 1_000_000] },
  { most: 1, steps: 4, ticks: [0, 0.25, 0.5, 0.75, 1] },
])('an axis up to $most has the ticks $ticks', ({ most, steps, ticks }) => {
  expect(ticksUpTo(most, steps)).toEqual(ticks);
});

it('an axis always reaches what it shows, with few ticks', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-6, max: 1e12, noNaN: true }), fc.integer({ min: 2, max: 8 }), (most, steps) => {
      const ticks = ticksUpTo(most, steps);
      expect(ticks.at(-1)).toBeGreaterThanOrEqual(most * 0.999);
      expect(ticks.length).toBeLessThanOrEqual(steps + 1);
      expect(new Set(ticks).size).toBe(ticks.length);
    }),
  );
});
