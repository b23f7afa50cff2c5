import { expect, test } from 'vitest';
import { randomOf } from './random.ts';

const drawn = (seed: number, name: string): readonly number[] => {
  const random = randomOf(seed, name);
  return Array.from({ length: 5 }, () => random.between(10, 20));
};

test('the same seed and name give the same sequence, another of either another one', () => {
  expect(drawn(7, 'parts')).toEqual(drawn(7, 'parts'));
  expect(drawn(8, 'parts')).not.toEqual(drawn(7, 'parts'));
  expect(drawn(7, 'pods')).not.toEqual(drawn(7, 'parts'));
  expect(drawn(7, 'parts').every((value) => value >= 10 && value < 20)).toBe(true);
});

test('shuffling keeps everything', () => {
  const list = [1, 2, 3, 4, 5, 6, 7, 8];
  const shuffled = randomOf(7, 'shuffle').shuffled(list);
  expect(shuffled).not.toEqual(list);
  expect(shuffled.toSorted((a, b) => a - b)).toEqual(list);
});
