import { expect, test } from 'vitest';
import type { Sample } from '../samples.ts';
import { memoryFaults, windowsOf } from './memory.ts';

/** A sample each ten seconds. */
const life = (part: Sample['part'], minutes: number, mebibytesAt: (minute: number) => number): readonly Sample[] =>
  Array.from({ length: minutes * 6 }, (_, index) => ({
    atMs: index * 10_000,
    process: `${part}@1`,
    pod: part,
    part,
    values: new Map([
      ['process_resident_memory_bytes', mebibytesAt(index / 6) * 1024 * 1024],
      ['process_open_fds', 30],
    ]),
  }));

test('memory that stays is no fault, and is told by ten minutes', () => {
  const samples = life('operator', 20, () => 150);
  expect(memoryFaults(samples)).toEqual([]);
  expect(windowsOf(samples)).toMatchObject([
    { part: 'operator', medianMiB: 150, processes: 1, mostDescriptors: 30 },
    { part: 'operator', fromMs: 600_000, medianMiB: 150 },
  ]);
});

test('a start is no growth', () => {
  expect(memoryFaults(life('agent', 20, (minute) => (minute < 2 ? 30 : 60)))).toEqual([]);
});

test('memory that grows and grows is a fault: from a warm 62 MiB, 2 a minute', () => {
  const [fault] = memoryFaults(life('agent', 20, (minute) => 58 + 2 * minute));
  expect(fault).toMatch(/^agent@1 grew from \d+ to \d+ MiB in 18 minutes$/);
});

test('a process above its bound is a fault however short it was', () => {
  expect(memoryFaults(life('agent', 1, () => 200))).toEqual(['agent took 200 MiB, at most 140 are to be']);
});
