import { closeSync, openSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { sampleDescriptors } from '../../src/linux/descriptor-sample.ts';
import { readDescriptorCount } from '../../src/linux/proc.ts';
import { startShell } from './child-program.ts';

const opened: number[] = [];
beforeAll(() => {
  while (readDescriptorCount(process.pid).descriptors < 700) opened.push(openSync('/dev/null', 'r'));
});
afterAll(() => {
  for (const fd of opened) closeSync(fd);
});

describe('the descriptors of this process', () => {
  test.each([
    { slots: 1024, within: 8 },
    { slots: 4096, within: 32 },
  ])('are about those that it has, of $slots', ({ slots, within }) => {
    const { descriptors } = readDescriptorCount(process.pid);
    const difference = Math.abs(sampleDescriptors(process.pid, slots) - descriptors);
    expect(difference).toBeLessThanOrEqual(within);
  });

  test('are counted where they are few', () => {
    expect(sampleDescriptors(process.pid, 100)).toBe(100);
  });
});

test('those of a shell are counted', async () => {
  await using shell = await startShell('');
  expect(sampleDescriptors(shell.pid, 256)).toBe(readDescriptorCount(shell.pid).descriptors);
});

test('what has ended has none', async () => {
  const shell = await startShell('');
  await shell[Symbol.asyncDispose]();
  expect(sampleDescriptors(shell.pid, 256)).toBe(0);
});
