import { expect, test } from 'vitest';
import { reconcile } from '../../src/controller/reconcile.ts';
import { podWarningFor } from '../../src/controller/transitions.ts';
import { budgetOf, reportOf, situationOf, withPods } from './situations.ts';

const short = ({ transitions }: ReturnType<typeof reconcile>): readonly string[] =>
  transitions.map(({ type, reason, action }) => `${type} ${reason} ${action}`);

test('a first status tells what happened and not what did not', () => {
  expect(short(reconcile(withPods(situationOf(), {})))).toEqual([
    'Normal PlanFits Plan',
    'Normal AllPodsCurrent Apply',
    'Normal AllPodsVerified Verify',
  ]);
  expect(short(reconcile(situationOf()))).toEqual(['Normal AssumptionsUnverified Plan']);
});

test('a change is told once, with the numbers', () => {
  const before = reconcile(withPods(situationOf(), {})).status;
  const outdated = { ...withPods(situationOf(), { sectionHash: undefined }), previous: before };

  const first = reconcile(outdated);
  const again = reconcile({ ...outdated, previous: first.status });

  expect(short(first)).toEqual(['Warning PodsOutdated Apply', 'Warning PodsUnverified Verify']);
  expect(first.transitions[0]?.note).toContain('0 of 1 running pods');
  expect(short(again)).toEqual([]);
});

test('another message is no transition', () => {
  const before = reconcile(withPods(situationOf(), { sectionHash: undefined })).status;

  expect(short(reconcile({ ...withPods(situationOf(), { sectionHash: undefined }, {}), previous: before }))).toEqual(
    [],
  );
});

test('a conflict is a warning to both, its end is not', () => {
  const alone = reconcile(situationOf()).status;
  const rivals = [{ name: 'other', wins: true, pods: 1 }];

  const conflict = reconcile(situationOf({ previous: alone, rivals }));
  const over = reconcile(situationOf({ previous: conflict.status }));

  expect(short(conflict)).toEqual(['Warning OlderBudgetWins Select']);
  expect(short(over)).toEqual(['Normal NoConflict Select']);
});

test('mode Off is no warning', () => {
  const before = reconcile(withPods(situationOf(), {})).status;
  const off = situationOf({ budget: budgetOf({ updatePolicy: { mode: 'Off' } }), previous: before });

  expect(short(reconcile(withPods(off, {})))).toEqual(['Normal ModeOff Apply', 'Normal ModeOff Verify']);
});

test('the same transition told again has the same id', () => {
  const situation = withPods(situationOf(), {});

  expect(reconcile(situation).transitions).toEqual(reconcile(situation).transitions);
  expect(new Set(reconcile(situation).transitions.map(({ id }) => id)).size).toBe(3);
});

test('only a signature that does not verify is told at the pod', () => {
  const forged = reportOf('0123456789abcdef', {
    verified: false,
    reason: 'SignatureInvalid',
    message: 'unknown key k9',
  });

  expect(podWarningFor(forged)).toMatchObject({ type: 'Warning', reason: 'SignatureInvalid', note: 'unknown key k9' });
  expect(podWarningFor({ ...forged, reason: 'Pending' })).toBeUndefined();
});
