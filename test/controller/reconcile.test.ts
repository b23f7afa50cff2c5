import { expect, test } from 'vitest';
import { parseConnectionBudget } from '../../src/api/budget-object.ts';
import { connectionBudgetStatus } from '../../src/api/budget-status.ts';
import { reconcile, reconcileInvalid } from '../../src/controller/reconcile.ts';
import { brokerSeen, fitting, toService } from './condition-rows.ts';
import {
  budgetObject,
  budgetOf,
  carriedFor,
  hashFor,
  messageOf,
  now,
  podOf,
  shortOf,
  situationOf,
  withPods,
} from './situations.ts';

test('an invalid object is told its rules, and nothing is planned', () => {
  const { violations = [] } = parseConnectionBudget(
    budgetObject({ inbound: [{ name: 'mqtt', port: 70_000, connections: 1 }] }),
  );

  const { status } = reconcileInvalid({ generation: 4, violations, previous: undefined, now });

  expect(shortOf(status)).toEqual([
    'Feasible False InvalidSpec',
    'Applied Unknown InvalidSpec',
    'Verified Unknown InvalidSpec',
    'Conflict False NoConflict',
    'Ready False NotFeasible',
  ]);
  expect(messageOf(status, 'Feasible')).toBe(
    'The spec breaks 1 rule: spec.inbound[0].port: 70000: must be at most 65535.',
  );
  expect(status).toMatchObject({ observedGeneration: 4, destinations: [] });
  expect(status.plan).toBeUndefined();
});

test('pods are counted by how far they are', () => {
  const { status } = reconcile(
    withPods(situationOf(), {}, { report: undefined }, { carried: undefined }, { isRunning: false }),
  );

  expect(status.pods).toEqual({ matched: 3, applied: 2, verified: 1 });
});

test('a pod of another template is current with the plan that it would get itself', () => {
  const ownRange = new Map([['net.ipv4.tcp_max_tw_buckets', '500000']]);
  const other = podOf({ observed: { ...podOf().observed, containerNames: ['main'] }, ownSysctls: ownRange });
  const situation = situationOf();
  const pods = [
    { ...podOf(), carried: carriedFor(situation) },
    { ...other, carried: carriedFor(situation, other) },
  ];

  const { status } = reconcile({ ...situation, pods });

  expect(hashFor(situation, other)).not.toBe(hashFor(situation));
  expect(status.pods).toMatchObject({ matched: 2, applied: 2 });
});

test('the time of a condition is that of its status, not of its message', () => {
  const first = reconcile(withPods(situationOf(), {}, { carried: undefined })).status;
  const later = new Date('2026-11-23T13:00:00Z');

  const second = reconcile({
    ...withPods(situationOf(), {}, {}, { carried: undefined }),
    previous: first,
    now: later,
  }).status;
  const third = reconcile({ ...withPods(situationOf(), {}), previous: first, now: later }).status;

  const appliedOf = ({ conditions }: typeof first) => conditions.find(({ type }) => type === 'Applied');
  expect(appliedOf(first)?.lastTransitionTime).toBe('2026-11-23T12:00:00Z');
  expect(appliedOf(second)).toMatchObject({ lastTransitionTime: '2026-11-23T12:00:00Z', status: 'False' });
  expect(appliedOf(second)?.message).not.toBe(appliedOf(first)?.message);
  expect(appliedOf(third)).toMatchObject({ lastTransitionTime: '2026-11-23T13:00:00Z', status: 'True' });
});

test('the same situation an hour later gives the same status', () => {
  const first = reconcile(fitting).status;

  const second = reconcile({ ...fitting, previous: first, now: new Date('2026-11-23T13:00:00Z') });

  expect(second.status).toEqual(first);
  expect(second.transitions).toEqual([]);
});

test('a pod that is waited for is looked at again when its time is up', () => {
  const starting = { startedAt: '2026-11-23T11:59:40Z', report: undefined };

  // Started 20.5 s ago, of 30 s.
  expect(reconcile(withPods(situationOf(), starting, {})).againAfterMs).toBe(9500);
  expect(reconcile(withPods(situationOf(), { report: undefined })).againAfterMs).toBeUndefined();
});

test('resolved destinations are counted, those that were not found are left out', () => {
  const seen = reconcile(
    situationOf({
      budget: budgetOf(toService({ reachedBy: 'Endpoints' })),
      observed: brokerSeen(new Map([[1883, 3]])),
    }),
  );
  const unseen = reconcile(situationOf({ budget: budgetOf(toService()) }));

  expect(seen.status.destinations).toEqual([{ flow: 'broker', targets: 3 }]);
  expect(unseen.status.destinations).toEqual([]);
});

test('the API server takes the status of the absurdest budget', () => {
  const most = Number.MAX_SAFE_INTEGER;
  const ports = Array.from({ length: 64 }, (_, index) => 1000 + 7 * index);
  const unlisted = { addressCount: most, ports };
  const budget = budgetOf({
    scale: { pods: 1_000_000, podsPerNode: 100_000, surgePercent: 100 },
    headroomPercent: 1000,
    inbound: [],
    outbound: [
      { name: 'web', connections: most, closesPerSecond: most, destination: { unlisted } },
      { name: 'near', connections: most, destination: { addresses: { ips: ['2001:db8::1'], ports } } },
    ],
  });
  const declaredPorts = Array.from({ length: 300 }, (_, index) => 2000 + 3 * index);
  const pod = podOf({ observed: { ...podOf().observed, declaredPorts } });

  const { status } = reconcile(situationOf({ budget, pods: [pod] }));

  expect(connectionBudgetStatus.safeParse(status).error).toBeUndefined();
  expect(status.plan?.sysctls.some(({ value }) => value.endsWith('…'))).toBe(true);
});

test.each(['', 'a'])('a message that is cut inside of a character is still text (%j)', (before) => {
  const value = before + '\u{1F600}'.repeat(2000);
  const violations = [{ field: 'spec.selector', value, rule: 'unknown field' }];
  const { status } = reconcileInvalid({ generation: 1, violations, previous: undefined, now });

  expect(messageOf(status, 'Feasible').isWellFormed()).toBe(true);
  expect(connectionBudgetStatus.safeParse(status).error).toBeUndefined();
});
