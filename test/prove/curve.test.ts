import fc from 'fast-check';
import { expect, it } from 'vitest';
import { startCurve } from '../../src/prove/curve.ts';

const recorded = (count: number, most?: number) => {
  const curve = startCurve(most);
  for (let ms = 1; ms <= count; ms += 1) curve.record({ ms, held: 2 * ms });
  return curve.until({ ms: count + 1, held: 2 * count + 2 });
};

it('a short curve has every sample, from nothing to the end', () => {
  expect(recorded(3)).toEqual([
    { ms: 0, held: 0 },
    { ms: 1, held: 2 },
    { ms: 2, held: 4 },
    { ms: 3, held: 6 },
    { ms: 4, held: 8 },
  ]);
});

it('a curve of any length is bounded, and its samples stay evenly spread', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20_000 }), fc.integer({ min: 4, max: 600 }), (count, most) => {
      const samples = recorded(count, most);
      expect(samples.length).toBeLessThanOrEqual(most + 1);
      expect(samples.length).toBeGreaterThan(Math.min(count, most / 2) - 1);
      expect(samples[0]).toEqual({ ms: 0, held: 0 });
      expect(samples.at(-1)).toEqual({ ms: count + 1, held: 2 * count + 2 });
      const steps = samples.slice(1).map(({ ms }, index) => ms - (samples[index]?.ms ?? 0));
      expect(Math.max(...steps.slice(0, -1), 0) - Math.min(...steps.slice(0, -1))).toBeLessThanOrEqual(0);
    }),
  );
});

it('what comes after the end, while nothing more happened, is no part of it', () => {
  const curve = startCurve();
  for (const ms of [20, 40, 60, 80]) curve.record({ ms, held: 5 });
  expect(curve.until({ ms: 35, held: 5 }).map(({ ms }) => ms)).toEqual([0, 20, 35]);
});
