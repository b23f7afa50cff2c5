import { expect, test } from 'vitest';
import { eventNameFor } from '../../src/controller/apply.ts';
import { reconcile } from '../../src/controller/reconcile.ts';
import { podWarningFor } from '../../src/controller/transitions.ts';
import { budgetOf, reportOf, situationOf, tooMany, withPods } from './situations.ts';

const short = ({ transitions }: ReturnType<typeof reconcile>): readonly string[] =>
  transitions.map(({ type, reason, action }) => `${type} ${reason} ${action}`);

const rival = { name: 'other', wins: true, pods: 1 };
const noAgent = { carried: undefined, report: undefined, hasAgent: false };

test.each([
  { what: 'all is well', situation: withPods(situationOf(), {}), told: [] },
  { what: 'there is no pod yet', situation: situationOf(), told: [] },
  { what: 'a limit binds', situation: situationOf({ budget: budgetOf(tooMany) }), told: ['Warning LimitBinds Plan'] },
  {
    what: 'pods are outdated and no agent serves them',
    situation: withPods(situationOf(), noAgent),
    told: ['Warning PodsOutdated Apply'],
  },
  {
    what: 'no agent serves them',
    situation: withPods(situationOf(), { report: undefined, hasAgent: false }),
    told: ['Warning AgentAbsent Verify'],
  },
  {
    what: 'an older budget has the pods',
    situation: situationOf({ rivals: [rival] }),
    told: ['Warning OlderBudgetWins Select'],
  },
])('a first status tells the first thing that is wrong: $what', ({ situation, told }) => {
  expect(short(reconcile(situation))).toEqual(told);
});

test('a change is told once, with the numbers', () => {
  const before = reconcile(withPods(situationOf(), {})).status;
  const outdated = { ...withPods(situationOf(), { carried: undefined }), previous: before };

  const first = reconcile(outdated);
  const again = reconcile({ ...outdated, previous: first.status });

  expect(short(first)).toEqual(['Warning PodsOutdated Apply', 'Warning PodsUnverified Verify']);
  expect(first.transitions[0]?.note).toContain('0 of 1 running pods');
  expect(short(again)).toEqual([]);
});

test('another message is no transition', () => {
  const before = reconcile(withPods(situationOf(), { carried: undefined })).status;

  expect(short(reconcile({ ...withPods(situationOf(), { carried: undefined }, {}), previous: before }))).toEqual([]);
});

test('a conflict is a warning to both, its end is not', () => {
  const alone = reconcile(situationOf()).status;
  const rivals = [rival];

  const conflict = reconcile(situationOf({ previous: alone, rivals }));
  const over = reconcile(situationOf({ previous: conflict.status }));

  expect(short(conflict)).toEqual(['Warning OlderBudgetWins Select']);
  expect(short(over)).toEqual(['Normal NoPods Apply', 'Normal NoConflict Select']);
});

test('a rollout that goes well tells no warning', () => {
  const before = reconcile(withPods(situationOf(), {})).status;
  const starting = { startedAt: '2026-11-23T11:59:58Z', report: undefined };

  const during = reconcile({ ...withPods(situationOf(), {}, starting), previous: before });
  const after = reconcile({ ...withPods(situationOf(), {}, {}), previous: during.status });

  expect(short(during)).toEqual([]);
  expect(short(after)).toEqual(['Normal AllPodsVerified Verify']);
});

test('an Event’s name is one that the API server takes', () => {
  const cut = `${'a'.repeat(198)}.-b`;

  expect(eventNameFor(cut, 'id')).toBe(`${'a'.repeat(198)}.id`);
  expect(eventNameFor('gateway', 'id')).toBe('gateway.id');
});

test('mode Off is no warning', () => {
  const before = reconcile(withPods(situationOf(), {})).status;
  const off = situationOf({ budget: budgetOf({ updatePolicy: { mode: 'Off' } }), previous: before });

  expect(short(reconcile(withPods(off, {})))).toEqual(['Normal ModeOff Apply', 'Normal ModeOff Verify']);
});

test('the same transition told again has the same id', () => {
  const previous = reconcile(situationOf()).status;
  const situation = { ...withPods(situationOf(), {}), previous };

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
