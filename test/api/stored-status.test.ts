import { expect, test } from 'vitest';
import { readBudgetStatus } from '../../src/api/budget-status.ts';
import { readNodeStatus } from '../../src/api/connection-node.ts';

/** What another version of the operator or of the agent has stored. */

const times = { lastTransitionTime: '2026-11-23T12:00:00Z', reason: 'PlanFits', message: 'fits' };
const feasible = { type: 'Feasible', status: 'True', ...times };
const usage = { peakConnections: 700, peakTime: '2026-11-23T12:00:00Z' };
const status = { observedGeneration: 3, conditions: [feasible], destinations: [], usage };

test.each<[string, object, object]>([
  ['with a field that is not known', { ...status, forecast: { connections: 9 } }, status],
  ['with a condition that is not known', { ...status, conditions: [feasible, { ...feasible, type: 'Tuned' }] }, status],
  ['with a plan of another shape', { ...status, plan: { hash: 7 } }, status],
  ['without its lists', { observedGeneration: 3 }, { observedGeneration: 3, conditions: [], destinations: [] }],
  ['with conditions that are none', { ...status, conditions: 'all' }, { ...status, conditions: [] }],
])('a budget’s status %s is read as far as it can be', (...[, stored, expected]) => {
  expect(readBudgetStatus(stored)).toEqual(expected);
});

test.each([undefined, null, 7, 'words'])('%j is no status', (stored) => {
  expect(readBudgetStatus(stored)).toBeUndefined();
  expect(readNodeStatus(stored)).toBeUndefined();
});

const agent = { version: '9.0.0', runtime: 'containerd', connected: true, canRaiseNofile: true, keyIds: [] };
const report = { namespace: 'a', name: 'b', uid: 'u1', budget: 'c', sectionHash: 'd', verified: true, message: '' };

test('one report that is not known hides neither the others nor the node', () => {
  const known = { ...report, reason: 'Applied', sourceAddresses: [] };
  const pods = [known, { ...report, uid: 'u2', reason: 'TunedTwice' }];

  expect(readNodeStatus({ facts: { nrOpen: 9, hugePages: 3 }, agent, pods })).toEqual({
    facts: { nrOpen: 9 },
    agent,
    pods: [known],
  });
});
