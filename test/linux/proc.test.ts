import { closeSync, openSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  checkProcess,
  containerProcesses,
  descendantsOf,
  parseProcessStat,
  type ProcessEntry,
  readDescriptorCount,
  readProcess,
  readProcessTable,
} from '../../src/linux/proc.ts';
import { startShell } from './child-program.ts';

const { signal } = new AbortController();
const PATIENCE = { timeout: 4000 };
const readTable = () => readProcessTable({ signal });
const tableOf = (rows: readonly (readonly [pid: number, parentPid: number])[]) =>
  new Map<number, ProcessEntry>(rows.map(([pid, parentPid]) => [pid, { pid, parentPid, startTimeTicks: pid * 10 }]));

// From the third on: state, parent, 17 more, start time (the 22nd), two of those that follow.
const fieldsFrom3 = (parentPid: number, startTimeTicks: number) =>
  ['S', parentPid, ...Array.from({ length: 17 }, () => 0), startTimeTicks, 1, 2].join(' ');

describe('parseProcessStat', () => {
  test.each(['sh', 'a b', 'x) S 99 1', '(', ')', ') (', ''])('takes the command %j', (command) => {
    expect(parseProcessStat(`42 (${command}) ${fieldsFrom3(7, 123)}\n`)).toEqual({
      pid: 42,
      parentPid: 7,
      startTimeTicks: 123,
    });
  });

  test('does not take a line that is cut before the start time for one that started at 0', () => {
    const line = `42 (sh) ${fieldsFrom3(7, 123)}`;
    expect(parseProcessStat(line.slice(0, line.indexOf('123')))).toBeUndefined();
  });

  test('takes any text', () => {
    const noise = fc.string({ unit: fc.constantFrom('(', ')', ' ', '1', 'S', '-', '\n') });
    fc.assert(
      fc.property(noise, (text) => {
        const numbers = Object.values(parseProcessStat(text) ?? {});
        expect(numbers.every((value) => Number.isSafeInteger(value))).toBe(true);
      }),
    );
  });
});

describe('descendantsOf', () => {
  test.each([
    ['a leaf', 12, [12]],
    ['a tree', 10, [10, 11, 12, 13]],
    ['the root of all', 1, [1, 10, 20, 11, 12, 13]],
    ['nobody', 99, []],
  ])('%s', (_, pid, expected) => {
    const table = tableOf([
      [1, 0],
      [10, 1],
      [11, 10],
      [12, 10],
      [13, 11],
      [20, 1],
    ]);
    expect(descendantsOf(table, pid).map((entry) => entry.pid)).toEqual(expected);
  });

  test('ends on a table that was read while pids were used again', () => {
    const row = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 9 }));
    fc.assert(
      fc.property(fc.array(row), (rows) => {
        const table = tableOf(rows);
        expect(descendantsOf(table, 1).length).toBeLessThanOrEqual(table.size);
      }),
    );
  });
});

describe('the processes of a container', () => {
  test('are the first one and its descendants, with start times', async () => {
    await using shell = await startShell('sleep 601 & sleep 602 &');
    const read = async () => containerProcesses(await readTable(), shell.pid);
    await expect
      .poll(async () => commandsOf(await read()), PATIENCE)
      .toEqual(['sh', 'sleep 600', 'sleep 601', 'sleep 602']);
    expect((await read())[0]).toEqual(readProcess(shell.pid));
  });

  test('are not those of a pid namespace inside', async () => {
    await using shell = await startShell('unshare --pid --fork sleep 603 &');
    const all = ['sh', 'sleep 600', 'sleep 603', 'unshare --pid'];
    await expect.poll(async () => commandsOf(descendantsOf(await readTable(), shell.pid)), PATIENCE).toEqual(all);
    const inside = containerProcesses(await readTable(), shell.pid);
    expect(commandsOf(inside)).toEqual(['sh', 'sleep 600', 'unshare --pid']);
  });

  test('are none once it has ended', async () => {
    const shell = await startShell('');
    await shell[Symbol.asyncDispose]();
    const table = await readTable();
    expect(() => containerProcesses(table, shell.pid)).toThrow(expect.objectContaining({ kind: 'Gone' }));
  });
});

describe('a process', () => {
  test('is itself by pid and start time', async () => {
    const self = readProcess(process.pid);
    expect(self.parentPid).toBe(process.ppid);
    expect(() => checkProcess(self)).not.toThrow();
    expect(() => checkProcess({ ...self, startTimeTicks: self.startTimeTicks - 1 })).toThrow(
      expect.objectContaining({ kind: 'Gone' }),
    );
  });

  test('has one descriptor more after an open', () => {
    const before = readDescriptorCount(process.pid);
    const fd = openSync('/dev/null', 'r');
    const after = readDescriptorCount(process.pid);
    closeSync(fd);
    expect(after).toEqual({ descriptors: before.descriptors + 1, exactness: 'Exact' });
  });

  test('that is not there has no descriptors to count', () => {
    expect(() => readDescriptorCount(2 ** 30)).toThrow(expect.objectContaining({ kind: 'Gone' }));
  });

  test('is bounded by its descriptor table where st_size says nothing', () => {
    const procRoot = new URL('./proc-before-6.2', import.meta.url).pathname;
    expect(readDescriptorCount(7, procRoot)).toEqual({ descriptors: 256, exactness: 'UpperBound' });
  });
});

test('a table is not read for an aborted caller', async () => {
  await expect(readProcessTable({ signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
});

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, 2).join(' ');
}

// A child between fork and exec still has the command of its parent, so callers poll.
function commandsOf(processes: readonly { readonly pid: number }[]): readonly string[] {
  return processes.map(({ pid }) => commandOf(pid).replace('sh -c', 'sh').trim()).toSorted();
}
