import { expect, test } from 'vitest';
import type { ConnectionBudgetStatus } from '../../src/api/budget-status.ts';
import type { PodReport } from '../../src/api/connection-node.ts';
import { reconcile } from '../../src/controller/reconcile.ts';
import { budgetOf, hashFor, now, reportOf, situationOf, withPods } from './situations.ts';

type Use = Partial<Pick<PodReport, 'connections' | 'usedPercent' | 'flows'>>;

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
  expect(usageNow).toEqual({ fullestPod: 900, allPods: 1600, descriptorsPercent: 40, flows: new Map() });
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

const flow = (name: string, connections: number) => ({ name, connections, timeWait: 0 });

/** The outcome of a budget with an inbound flow mqtt and an outbound flow web. */
const seenFlows = (pods: readonly Use[], previous?: ConnectionBudgetStatus, afterMs = 0) => {
  const destination = { addresses: { ips: ['198.51.100.7'], ports: [443] } };
  const budget = budgetOf({ outbound: [{ name: 'web', connections: 100, destination }] });
  const reports = pods.map((use) => ({ report: reportOf('', use) }));
  const situation = withPods(situationOf({ budget }), ...reports);
  return reconcile({ ...situation, previous, now: new Date(now.getTime() + afterMs) });
};

test('each flow has a peak of its own, the most that one pod had of it', () => {
  const busy = seenFlows([{ flows: [flow('web', 300), flow('mqtt', 10)] }, { flows: [flow('web', 200)] }]);
  expect(busy.status.usage?.flows).toEqual([
    { name: 'mqtt', peakConnections: 10 },
    { name: 'web', peakConnections: 300 },
  ]);
  const later = seenFlows([{ flows: [flow('web', 100), flow('mqtt', 20)] }], busy.status, 60_000);
  expect(later.status.usage).toEqual({
    flows: [
      { name: 'mqtt', peakConnections: 20 },
      { name: 'web', peakConnections: 300 },
    ],
    peakTime: '2026-11-23T12:01:00Z',
  });
  const quiet = seenFlows([{ flows: [flow('web', 1)] }], later.status, 3_600_000);
  expect(quiet.status.usage).toEqual(later.status.usage);
});

test('a flow that the spec does not have any more, in a pod that is older, has none', () => {
  const { status } = seenFlows([{ flows: [flow('web', 3), flow('renamed', 9)] }]);
  expect(status.usage?.flows).toEqual([{ name: 'web', peakConnections: 3 }]);
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
