import { expect, test } from 'vitest';
import type { ConnectionBudgetStatus } from '../../src/api/budget-status.ts';
import type { PodReport } from '../../src/api/connection-node.ts';
import { reconcile } from '../../src/controller/reconcile.ts';
import { budgetOf, hashFor, now, reportOf, situationOf, withPods } from './situations.ts';

type Use = Partial<Pick<PodReport, 'connections' | 'usedPercent'>>;

/** The outcome `afterMs` after the first look, with one pod for each use. */
const seen = (uses: readonly Use[], previous?: ConnectionBudgetStatus, afterMs = 0) => {
  const hash = hashFor(situationOf());
  const pods = withPods(situationOf(), ...uses.map((use) => ({ report: reportOf(hash, use) })));
  return reconcile({ ...pods, previous, now: new Date(now.getTime() + afterMs) });
};

const first = (): ConnectionBudgetStatus => seen([{ connections: 700, usedPercent: 20 }]).status;

test('the peaks are the most that was seen in one pod, each of its own', () => {
  const { status, usageNow } = seen([
    { connections: 700, usedPercent: 40 },
    { connections: 900, usedPercent: 25 },
  ]);
  expect(status.usage).toEqual({
    peakConnections: 900,
    peakDescriptorsPercent: 40,
    peakTime: '2026-11-23T12:00:00Z',
  });
  expect(usageNow).toEqual({ fullestPod: 900, allPods: 1600, descriptorsPercent: 40 });
});

test('a pod that uses less changes nothing of a status', () => {
  const quiet = seen([{ connections: 10, usedPercent: 5 }], first(), 3_600_000);
  expect(quiet.status.usage).toEqual(first().usage);
  expect(quiet.againAfterMs).toBeUndefined();
});

test.each([
  { afterMs: 10_000, peak: 700, againAfterMs: 19_500 },
  { afterMs: 29_400, peak: 700, againAfterMs: 100 },
  { afterMs: 29_500, peak: 900, againAfterMs: undefined },
])('a peak that rises $afterMs ms after the last is written at most 30 s after that', (row) => {
  const risen = seen([{ connections: 900 }], first(), row.afterMs);
  expect(risen.status.usage?.peakConnections).toBe(row.peak);
  expect(risen.againAfterMs).toBe(row.againAfterMs);
});

test('one peak that rises leaves the other', () => {
  const risen = seen([{ connections: 10, usedPercent: 60 }], first(), 60_000);
  expect(risen.status.usage).toMatchObject({ peakConnections: 700, peakDescriptorsPercent: 60 });
});

test('another spec begins anew, in the status that its change asks for in any case', () => {
  const changed = { ...withPods(situationOf(), {}), budget: budgetOf({ headroomPercent: 20 }, { generation: 4 }) };
  const hash = hashFor(situationOf());
  const [pod] = withPods(situationOf(), { report: reportOf(hash, { connections: 10 }) }).pods;
  const { status } = reconcile({ ...changed, pods: pod === undefined ? [] : [pod], previous: first() });
  expect(status.usage).toMatchObject({ peakConnections: 10 });
});

test('peaks outlive the pods, and there are none before an agent has counted', () => {
  expect(reconcile(situationOf({ previous: first() })).status.usage).toEqual(first().usage);
  expect(seen([{}]).status.usage).toBeUndefined();
});
