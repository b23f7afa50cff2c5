import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { adjustContainer, nofileFor, reaches, settableNofileFor } from '../../src/agent/adjust.ts';
import { sectionOf } from './plans.ts';

const million = 1_048_576;
const usual = { soft: 1024, hard: 524_288 };

describe('nofileFor', () => {
  const unlimited = { soft: 1024, hard: Infinity };
  const low = { soft: 4096, hard: 8192 };
  const none = undefined;
  test.each([
    // what                                 planned soft, hard; runtime, settable, cap of the agent        soft     hard
    [
      'the plan is set',
      { planned: [600_000, 700_000], runtime: usual, settable: million, cap: million },
      [600_000, 700_000],
    ],
    [
      'the hard limit of the runtime stays',
      { planned: [2000, 2000], runtime: usual, settable: 524_288, cap: million },
      [2000, 524_288],
    ],
    [
      'the soft limit of the runtime stays',
      { planned: [2000, 2000], runtime: low, settable: 8192, cap: million },
      [4096, 8192],
    ],
    [
      'the most that can be set is set',
      { planned: [600_000, 600_000], runtime: usual, settable: 524_288, cap: million },
      [524_288, 524_288],
    ],
    [
      'the cap of the agent binds',
      { planned: [600_000, 600_000], runtime: usual, settable: million, cap: 550_000 },
      [550_000, 550_000],
    ],
    [
      'a low cap lowers nothing',
      { planned: [600_000, 600_000], runtime: usual, settable: million, cap: 1000 },
      [524_288, 524_288],
    ],
    [
      'an unlimited runtime is bounded',
      { planned: [2000, 2000], runtime: unlimited, settable: million, cap: million },
      [2000, million],
    ],
    [
      'an unknown runtime counts nothing',
      { planned: [2000, 3000], runtime: none, settable: million, cap: million },
      [2000, 3000],
    ],
  ] as const)('%s', (_, { planned, runtime, settable, cap }, [soft, hard]) => {
    const wanted = { soft: planned[0], hard: planned[1] };
    expect(nofileFor(wanted, { runtime, settable }, cap)).toEqual({ soft, hard });
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
    [
      'without the capability the hard limit binds',
      { known: { ...facts, runtimeCanRaiseNofile: false }, sandbox: undefined },
      524_288,
    ],
    ['with it fs.nr_open binds', { known: { ...facts, runtimeCanRaiseNofile: true }, sandbox: undefined }, million],
    [
      'the sandbox knows better than the runtime',
      { known: { ...facts, runtimeCanRaiseNofile: false }, sandbox: { soft: 1, hard: 20_000 } },
      20_000,
    ],
    [
      'a runtime that is not found can raise nothing',
      { known: { nrOpen: million }, sandbox: { soft: 1, hard: 20_000 } },
      20_000,
    ],
    ['of nothing known nothing follows', { known: { nrOpen: million }, sandbox: undefined }, undefined],
    ['without fs.nr_open nothing is safe', { known: { runtimeNofile: usual }, sandbox: undefined }, undefined],
  ])('%s', (_, { known, sandbox }, settable) => {
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
