import { expect, test } from 'vitest';
import { createStandstill } from './standstill.ts';

/** Still from 10 to 20, again from 40 until two reasons are over at 50 and 60, and from 90 on. */
const withPauses = () => {
  let nowMs = 0;
  const standstill = createStandstill(() => nowMs);
  const at = (ms: number): typeof standstill => {
    nowMs = ms;
    return standstill;
  };
  const first = at(10).begin();
  at(20);
  first();
  const second = at(40).begin();
  const third = at(45).begin();
  at(50);
  second();
  at(60);
  third();
  third();
  at(90).begin();
  return standstill;
};

test.each([
  { from: 0, to: 10, elapsed: 10 },
  { from: 0, to: 30, elapsed: 20 },
  { from: 12, to: 18, elapsed: 0 },
  { from: 15, to: 45, elapsed: 20 },
  { from: 0, to: 100, elapsed: 100 - 10 - 20 - 10 },
  { from: 95, to: 200, elapsed: 0 },
])('from $from to $to go by $elapsed', ({ from, to, elapsed }) => {
  expect(withPauses().elapsedMs(from, to)).toBe(elapsed);
});
