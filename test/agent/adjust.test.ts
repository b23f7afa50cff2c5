import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { adjustContainer, nofileFor, reaches, settableNofileFor } from '../../src/agent/adjust.ts';
import { sectionOf } from './plans.ts';

const million = 1_048_576;
const usual = { soft: 1024, hard: 524_288 };

describe('nofileFor', () => {
  test.each([
    // what                                   planned            runtime  settable  cap      soft     hard
    ['the plan is set', [600_000, 700_000], usual, million, million, [600_000, 700_000]],
    ['the hard limit of the runtime is kept', [2000, 2000], usual, 524_288, million, [2000, 524_288]],
    ['the soft limit of the runtime is kept', [2000, 2000], { soft: 4096, hard: 8192 }, 8192, million, [4096, 8192]],
    ['what cannot be set is left at the most', [600_000, 600_000], usual, 524_288, million, [524_288, 524_288]],
    ['the cap of the agent binds', [600_000, 600_000], usual, million, 550_000, [550_000, 550_000]],
    ['a cap below the runtime lowers nothing', [600_000, 600_000], usual, million, 1000, [524_288, 524_288]],
    [
      'an unlimited runtime is bounded',
      [2000, 2000],
      { soft: 1024, hard: Infinity },
      million,
      million,
      [2000, million],
    ],
    ['a runtime that is not known counts nothing', [2000, 3000], undefined, million, million, [2000, 3000]],
  ] as const)('%s', (_, [plannedSoft, plannedHard], runtime, settable, cap, [soft, hard]) => {
    expect(nofileFor({ soft: plannedSoft, hard: plannedHard }, { runtime, settable }, cap)).toEqual({ soft, hard });
  });

  test('sets nothing where it is not known what can be set', () => {
    expect(nofileFor(usual, { runtime: usual, settable: undefined }, million)).toBeUndefined();
  });

  test('never asks for more than can be set, nor for a soft limit above the hard one', () => {
    const limit = fc.integer({ min: 1, max: 2 ** 31 });
    const pair = fc.tuple(limit, limit).map(([soft, more]) => ({ soft, hard: soft + more }));
    fc.assert(
      fc.property(
        pair,
        fc.option(pair, { nil: undefined }),
        fc.tuple(limit, limit),
        (planned, runtime, [settable, cap]) => {
          const set = nofileFor(planned, { runtime, settable }, cap)!;
          expect(set.hard).toBeLessThanOrEqual(settable);
          expect(set.soft).toBeLessThanOrEqual(set.hard);
          expect(set.hard).toBeGreaterThanOrEqual(Math.min(runtime?.hard ?? 0, settable));
          expect(set.soft).toBeGreaterThanOrEqual(Math.min(runtime?.soft ?? 0, settable));
        },
      ),
    );
  });
});

describe('settableNofileFor', () => {
  const facts = { nrOpen: million, runtimeNofile: { soft: 524_288, hard: 524_288 } };
  test.each([
    ['without the capability the hard limit binds', { ...facts, runtimeCanRaiseNofile: false }, undefined, 524_288],
    ['with it fs.nr_open binds', { ...facts, runtimeCanRaiseNofile: true }, undefined, million],
    [
      'the sandbox knows better than the runtime',
      { ...facts, runtimeCanRaiseNofile: false },
      { soft: 1, hard: 20_000 },
      20_000,
    ],
    ['a runtime that is not found can raise nothing', { nrOpen: million }, { soft: 1, hard: 20_000 }, 20_000],
    ['of nothing known nothing follows', { nrOpen: million }, undefined, undefined],
    ['without fs.nr_open nothing is safe', { runtimeNofile: usual }, undefined, undefined],
  ])('%s', (_, known, sandbox, settable) => {
    expect(settableNofileFor(known, sandbox)).toBe(settable);
  });
});

describe('adjustContainer', () => {
  const caps = { maximumNofile: million, sysctls: new Set<string>() };
  const node = { runtime: usual, settable: 524_288 };
  const containers = [
    { name: 'gateway', soft: 600_000, hard: 600_000 },
    { name: '', soft: 5, hard: 5 },
  ];

  test('says both numbers where the plan is out of reach', () => {
    expect(adjustContainer(sectionOf({ containers }), 'gateway', { node, caps })).toEqual({
      adjustment: { rlimits: [{ type: 'RLIMIT_NOFILE', soft: 524_288n, hard: 524_288n }] },
      findings: [
        {
          kind: 'LimitNotSettable',
          message:
            'container gateway: nofile 600,000 soft, 600,000 hard planned; 524,288 soft, 524,288 hard can be set on this node',
        },
      ],
    });
  });

  test('says so where the agent is what forbids it', () => {
    const capped = { node: { runtime: usual, settable: million }, caps: { ...caps, maximumNofile: 550_000 } };
    const { findings } = adjustContainer(sectionOf({ containers }), 'gateway', capped);
    expect(findings).toMatchObject([{ message: expect.stringContaining('550,000 hard allowed by the agent') }]);
  });

  test.each(['sidecar', ''])('leaves a container alone that nobody planned: "%s"', (name) => {
    expect(adjustContainer(sectionOf({ containers }), name, { node, caps })).toEqual({ findings: [] });
  });

  test('adjusts nothing, and says so, where it is not known what can be set', () => {
    const { adjustment, findings } = adjustContainer(sectionOf({ containers }), 'gateway', {
      node: { runtime: undefined, settable: undefined },
      caps,
    });
    expect(adjustment).toBeUndefined();
    expect(findings).toMatchObject([{ kind: 'LimitNotSettable' }]);
  });

  test.each([
    [{ soft: 8, hard: 8 }, { soft: 8, hard: 9 }, false],
    [{ soft: 7, hard: 9 }, { soft: 8, hard: 9 }, false],
    [{ soft: 8, hard: 9 }, { soft: 8, hard: 9 }, true],
  ])('%o reaches %o: %s', (limit, planned, isReached) => {
    expect(reaches(limit, planned)).toBe(isReached);
  });
});
