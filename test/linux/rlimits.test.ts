import type { SpawnOptions } from 'node:child_process';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { LinuxError } from '../../src/linux/linux-error.ts';
import { readProcess } from '../../src/linux/proc.ts';
import { bestNofile, parseRlimits, readNofile, readRlimits, setNofile } from '../../src/linux/rlimits.ts';
import { runModule, startShell } from './child-program.ts';

const WITHOUT_SYS_RESOURCE = ['setpriv', '--bounding-set=-sys_resource', '--inh-caps=-sys_resource', '--'];

const startLimited = (options: SpawnOptions = {}) => startShell('ulimit -Sn 100; ulimit -Hn 200', options);

describe('bestNofile', () => {
  const planned = { soft: 600_000, hard: 700_000 };
  const infinite = Number.POSITIVE_INFINITY;
  test.each([
    // bounds                                                            soft     hard
    ['nothing', { currentHard: 800_000, nrOpen: 1_048_576, canRaise: false }, [600_000, 700_000]],
    ['the hard limit', { currentHard: 524_288, nrOpen: 1_048_576, canRaise: false }, [524_288, 524_288]],
    ['nothing, with the capability,', { currentHard: 524_288, nrOpen: 1_048_576, canRaise: true }, [600_000, 700_000]],
    ['fs.nr_open, with the capability,', { currentHard: 524_288, nrOpen: 650_000, canRaise: true }, [600_000, 650_000]],
    ['fs.nr_open below the hard limit', { currentHard: 800_000, nrOpen: 650_000, canRaise: false }, [600_000, 650_000]],
    ['no infinite hard limit', { currentHard: infinite, nrOpen: 1_048_576, canRaise: false }, [600_000, 700_000]],
  ])('%s binds', (_, bounds, [soft, hard]) => {
    expect(bestNofile(planned, bounds)).toEqual({ soft, hard });
  });

  test('is at most what is planned, and setting it needs no more than there is', () => {
    const limit = fc.integer({ min: 0, max: 2 ** 31 });
    const wish = fc.tuple(limit, limit).map(([soft, more]) => ({ soft, hard: soft + more }));
    const bounds = fc.record({ currentHard: limit, nrOpen: limit, canRaise: fc.boolean() });
    fc.assert(
      fc.property(wish, bounds, (wanted, { currentHard, nrOpen, canRaise }) => {
        const best = bestNofile(wanted, { currentHard, nrOpen, canRaise });
        expect(best.soft).toBe(Math.min(best.hard, wanted.soft));
        expect(best.hard).toBe(Math.min(wanted.hard, nrOpen, canRaise ? infinite : currentHard));
      }),
    );
  });
});

describe('parseRlimits', () => {
  test('reads the columns of /proc/PID/limits', () => {
    const text = [
      'Limit                     Soft Limit           Hard Limit           Units     ',
      'Max cpu time              unlimited            unlimited            seconds   ',
      'Max open files            1024                 524288               files     ',
      'Max nice priority         0                    0                    ',
    ].join('\n');
    expect([...parseRlimits(text)]).toEqual([
      ['Max cpu time', { soft: Infinity, hard: Infinity }],
      ['Max open files', { soft: 1024, hard: 524_288 }],
      ['Max nice priority', { soft: 0, hard: 0 }],
    ]);
  });

  test('takes any text and finds whole numbers or infinity only', () => {
    const line = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom('Max', ' ', '0', '19', 'unlimited', '\t', '-', '\n') }),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const limits = [...parseRlimits(lines.join('\n')).values()].flatMap(({ soft, hard }) => [soft, hard]);
        expect(limits.every((limit) => limit === Infinity || Number.isInteger(limit))).toBe(true);
      }),
    );
  });

  test('finds all sixteen limits of a process', () => {
    expect(readRlimits(process.pid).size).toBe(16);
  });
});

describe('setNofile', () => {
  test('raises the soft limit of a running process up to its hard one', async () => {
    await using target = await startLimited();
    expect(setNofile(readProcess(target.pid), { soft: 150, hard: 200 })).toEqual({ soft: 150, hard: 200 });
    expect(readNofile(target.pid)).toEqual({ soft: 150, hard: 200 });
  });

  test('leaves what is higher already', async () => {
    await using target = await startLimited();
    expect(setNofile(readProcess(target.pid), { soft: 50, hard: 60 })).toEqual({ soft: 100, hard: 200 });
    expect(setNofile(readProcess(target.pid), { soft: 120, hard: 130 })).toEqual({ soft: 120, hard: 200 });
    expect(readNofile(target.pid)).toEqual({ soft: 120, hard: 200 });
  });

  test('lowers when asked to', async () => {
    await using target = await startLimited();
    setNofile(readProcess(target.pid), { soft: 50, hard: 60, mayLower: true });
    expect(readNofile(target.pid)).toEqual({ soft: 50, hard: 60 });
  });

  test('says that a higher hard limit needs CAP_SYS_RESOURCE', async () => {
    await using target = await startLimited();
    const outcome = runModule('set-nofile-program.ts', [String(target.pid), '100', '201'], WITHOUT_SYS_RESOURCE);
    expect(outcome).toMatchObject({ kind: 'NotPermitted', errno: 1, message: /needs CAP_SYS_RESOURCE/ });
    expect(readNofile(target.pid)).toEqual({ soft: 100, hard: 200 });
  });

  test('without CAP_SYS_RESOURCE does not change the process of another user', async () => {
    await using target = await startLimited({ uid: 65_534, gid: 65_534 });
    const outcome = runModule('set-nofile-program.ts', [String(target.pid), '150', '200'], WITHOUT_SYS_RESOURCE);
    expect(outcome).toMatchObject({ kind: 'NotPermitted', errno: 1, message: /of another user/ });
  });

  test('tells fs.nr_open from a missing capability', async () => {
    await using target = await startLimited();
    const hard = 2 ** 31;
    expect(() => setNofile(readProcess(target.pid), { soft: 100, hard })).toThrow(
      expect.objectContaining({ kind: 'AboveNrOpen', errno: 1, message: expect.stringContaining('fs.nr_open is') }),
    );
  });

  test('does not touch a younger process that has the pid', () => {
    const outcome = runModule('pid-reuse-program.ts', [], ['unshare', '--pid', '--fork', '--mount-proc']);
    expect(outcome).toEqual({ kind: 'Gone', nofileOfYounger: 100, kindForYounger: 'set' });
  });

  test('says that an ended process is gone', async () => {
    const target = await startLimited();
    const identity = readProcess(target.pid);
    await target[Symbol.asyncDispose]();
    expect(() => setNofile(identity, { soft: 100, hard: 200 })).toThrow(expect.objectContaining({ kind: 'Gone' }));
  });

  test.each([
    { soft: -1, hard: 10 },
    { soft: 1.5, hard: 10 },
    { soft: 11, hard: 10 },
    { soft: Number.NaN, hard: 10 },
    { soft: 10, hard: Number.POSITIVE_INFINITY },
  ])('refuses $soft soft, $hard hard before the kernel is asked', (change) => {
    const set = () => setNofile(readProcess(process.pid), change);
    expect(set).toThrow(LinuxError);
    expect(set).toThrow(expect.objectContaining({ kind: 'InvalidInput' }));
  });
});
