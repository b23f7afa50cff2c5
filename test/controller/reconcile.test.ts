import { describe, expect, test } from 'vitest';
import { nothingObserved } from '../../src/api/demand.ts';
import { reconcile, reconcileInvalid } from '../../src/controller/reconcile.ts';
import type { Situation } from '../../src/controller/situation.ts';
import {
  budgetObject,
  budgetOf,
  hashFor,
  messageOf,
  now,
  podOf,
  reportOf,
  roomyNode,
  shortOf,
  situationOf,
  withPods,
} from './situations.ts';
import { parseConnectionBudget } from '../../src/api/budget-object.ts';

/** One outbound flow to a Service; its own selector, nothing inbound. */
const toService = (service: object = {}) => ({
  inbound: [],
  outbound: [
    { name: 'broker', connections: 5000, destination: { service: { name: 'broker', port: 1883, ...service } } },
  ],
});
const brokerSeen = (readyEndpoints: ReadonlyMap<number, number>) => ({
  ...nothingObserved('messaging'),
  services: new Map([['messaging/broker', { headless: false, readyEndpoints }]]),
});
const toOneAddress = (count: number) => ({
  inbound: [],
  outbound: [{ name: 'web', connections: count, destination: { addresses: { ips: ['198.51.100.7'], ports: [443] } } }],
});

interface Row {
  readonly fact: string;
  readonly situation: Situation;
  readonly type: 'Feasible' | 'Applied' | 'Verified' | 'Conflict' | 'Ready';
  readonly is: string;
  /** Numbers and names that the message must have. */
  readonly says: readonly string[];
}

const fitting = withPods(situationOf(), {});
const off = situationOf({ budget: budgetOf({ updatePolicy: { mode: 'Off' } }) });

const feasible: readonly Row[] = [
  {
    fact: 'a plan that fits with everything known is feasible',
    situation: fitting,
    type: 'Feasible',
    is: 'True PlanFits',
    says: ['20,000', '22,000'],
  },
  {
    fact: 'a plan without a node rests on something unverified',
    situation: { ...fitting, facts: undefined },
    type: 'Feasible',
    is: 'True AssumptionsUnverified',
    says: ['no node is known'],
  },
  {
    fact: 'an unknown conntrack table is named with what it must hold',
    situation: { ...fitting, facts: { ...roomyNode, conntrackMax: undefined } },
    type: 'Feasible',
    is: 'True AssumptionsUnverified',
    says: ['net.netfilter.nf_conntrack_max is Unknown', 'entries'],
  },
  {
    fact: 'an endpoint that is not ready yet is an unverified assumption',
    situation: withPods(
      situationOf({
        budget: budgetOf(toService({ reachedBy: 'Endpoints' })),
        observed: brokerSeen(new Map([[1883, 0]])),
      }),
      {},
    ),
    type: 'Feasible',
    is: 'True AssumptionsUnverified',
    says: ['flow broker: no ready endpoint'],
  },
  {
    fact: 'more connections than one target has ports for binds, with both numbers and a remedy',
    situation: situationOf({ budget: budgetOf(toOneAddress(200_000)) }),
    type: 'Feasible',
    is: 'False LimitBinds',
    says: ['64,512 of 200,000', '220,000', 'Remedy'],
  },
  {
    fact: 'a Service that does not exist leaves it open',
    situation: situationOf({ budget: budgetOf(toService()) }),
    type: 'Feasible',
    is: 'Unknown DestinationNotFound',
    says: ['messaging/broker', 'flow broker'],
  },
  {
    fact: 'a Service of another namespace is looked for there',
    situation: situationOf({
      budget: budgetOf(toService({ namespace: 'queues' })),
      observed: brokerSeen(new Map([[1883, 1]])),
    }),
    type: 'Feasible',
    is: 'Unknown DestinationNotFound',
    says: ['queues/broker'],
  },
  {
    fact: 'a Service without the port leaves it open',
    situation: situationOf({ budget: budgetOf(toService()), observed: brokerSeen(new Map([[8883, 2]])) }),
    type: 'Feasible',
    is: 'Unknown DestinationNotFound',
    says: ['no port 1883'],
  },
  {
    fact: 'a container that the newest pod does not have leaves it open',
    situation: situationOf({ budget: budgetOf({ containers: [{ name: 'proxy' }] }), pods: [podOf()] }),
    type: 'Feasible',
    is: 'Unknown ContainerNotFound',
    says: ['gateway-1', 'proxy'],
  },
  {
    fact: 'a container is not missed before there is a pod',
    situation: situationOf({ budget: budgetOf({ containers: [{ name: 'proxy' }] }) }),
    type: 'Feasible',
    is: 'True AssumptionsUnverified',
    says: ['MemoryLimit'],
  },
];

const applied: readonly Row[] = [
  {
    fact: 'no pod is no answer',
    situation: situationOf(),
    type: 'Applied',
    is: 'Unknown NoPods',
    says: [],
  },
  {
    fact: 'a pod that does not run yet is not counted',
    situation: withPods(situationOf(), { isRunning: false }),
    type: 'Applied',
    is: 'Unknown NoPods',
    says: [],
  },
  {
    fact: 'all pods with the hash of the plan are current',
    situation: withPods(situationOf(), {}, {}),
    type: 'Applied',
    is: 'True AllPodsCurrent',
    says: ['2 of 2'],
  },
  {
    fact: 'a pod with another hash is outdated and named',
    situation: withPods(situationOf(), {}, { sectionHash: '0123456789abcdef' }),
    type: 'Applied',
    is: 'False PodsOutdated',
    says: ['1 of 2', 'gateway-2'],
  },
  {
    fact: 'a pod without a plan is outdated',
    situation: withPods(situationOf(), { sectionHash: undefined }),
    type: 'Applied',
    is: 'False PodsOutdated',
    says: ['0 of 1'],
  },
  {
    fact: 'mode Off changes no pod',
    situation: withPods(off, { sectionHash: undefined }),
    type: 'Applied',
    is: 'False ModeOff',
    says: ['0 of 1'],
  },
  {
    fact: 'a namespace that is not enabled comes with the command that enables it',
    situation: { ...fitting, isNamespaceEnabled: false },
    type: 'Applied',
    is: 'False NamespaceNotEnabled',
    says: ['kubectl label namespace messaging connectionbudget.io/enabled=true'],
  },
];

const verified: readonly Row[] = [
  { fact: 'no pod verifies nothing', situation: situationOf(), type: 'Verified', is: 'Unknown NoPods', says: [] },
  {
    fact: 'every pod that its agent saw as planned is verified',
    situation: withPods(situationOf(), {}, {}),
    type: 'Verified',
    is: 'True AllPodsVerified',
    says: ['2 of 2'],
  },
  {
    fact: 'a limit that came after the start is verified and said',
    situation: withPods(situationOf(), { report: reportOf(hashFor(situationOf()), { reason: 'AppliedLate' }) }),
    type: 'Verified',
    is: 'True AppliedLate',
    says: ['gateway-1'],
  },
  {
    fact: 'a pod that its agent has not reported yet is unverified',
    situation: withPods(situationOf(), {}, { report: undefined }),
    type: 'Verified',
    is: 'False PodsUnverified',
    says: ['1 of 2', 'gateway-2'],
  },
  {
    fact: 'a report of an earlier plan verifies nothing',
    situation: withPods(situationOf(), { report: reportOf('0123456789abcdef') }),
    type: 'Verified',
    is: 'False PodsUnverified',
    says: ['0 of 1'],
  },
  {
    fact: 'a node without an agent is named',
    situation: withPods(situationOf(), { report: undefined, hasAgent: false, nodeName: 'node-b' }),
    type: 'Verified',
    is: 'False AgentAbsent',
    says: ['node-b'],
  },
  {
    fact: 'a signature that does not verify is more than unverified',
    situation: withPods(
      situationOf(),
      { report: undefined },
      { report: reportOf('', { verified: false, reason: 'SignatureInvalid', message: 'unknown key k9' }) },
    ),
    type: 'Verified',
    is: 'False SignatureInvalid',
    says: ['gateway-2', 'unknown key k9'],
  },
  {
    fact: 'a limit that cannot be set is said with the numbers of the agent',
    situation: withPods(situationOf(), {
      report: reportOf('', { verified: false, reason: 'LimitNotSettable', message: '22064 needed, 4096 settable' }),
    }),
    type: 'Verified',
    is: 'False LimitNotSettable',
    says: ['22064 needed, 4096 settable'],
  },
  {
    fact: 'a sysctl that cannot be set is one too',
    situation: withPods(situationOf(), {
      report: reportOf('', { verified: false, reason: 'SysctlNotSettable', message: 'net.core.somaxconn' }),
    }),
    type: 'Verified',
    is: 'False LimitNotSettable',
    says: ['net.core.somaxconn'],
  },
  {
    fact: 'mode Off has nothing to verify',
    situation: withPods(off, {}),
    type: 'Verified',
    is: 'Unknown ModeOff',
    says: [],
  },
];

const rival = { name: 'other', pods: 2 };

const others: readonly Row[] = [
  { fact: 'a budget alone has no conflict', situation: fitting, type: 'Conflict', is: 'False NoConflict', says: [] },
  {
    fact: 'an older budget of the same pods wins',
    situation: { ...fitting, rivals: [{ ...rival, wins: true }] },
    type: 'Conflict',
    is: 'True OlderBudgetWins',
    says: ['other (2 pods)'],
  },
  {
    fact: 'the older budget says whom it shadows',
    situation: { ...fitting, rivals: [{ ...rival, wins: false }] },
    type: 'Conflict',
    is: 'True ShadowsNewerBudget',
    says: ['other (2 pods)'],
  },
  {
    fact: 'feasible, applied and verified is ready',
    situation: fitting,
    type: 'Ready',
    is: 'True Ready',
    says: ['20,000'],
  },
  {
    fact: 'without pods readiness follows feasibility',
    situation: situationOf(),
    type: 'Ready',
    is: 'True Ready',
    says: [],
  },
  {
    fact: 'without pods an infeasible budget is not ready',
    situation: situationOf({ budget: budgetOf(toOneAddress(200_000)) }),
    type: 'Ready',
    is: 'False NotFeasible',
    says: ['220,000'],
  },
  {
    fact: 'a missing destination leaves readiness open',
    situation: situationOf({ budget: budgetOf(toService()) }),
    type: 'Ready',
    is: 'Unknown Pending',
    says: ['messaging/broker'],
  },
  {
    fact: 'an outdated pod is not ready',
    situation: withPods(situationOf(), { sectionHash: undefined }),
    type: 'Ready',
    is: 'False NotApplied',
    says: ['0 of 1'],
  },
  {
    fact: 'an unverified pod is not ready',
    situation: withPods(situationOf(), { report: undefined }),
    type: 'Ready',
    is: 'False NotVerified',
    says: ['0 of 1'],
  },
  {
    fact: 'without an agent it is not ready, and says so',
    situation: withPods(situationOf(), { report: undefined, hasAgent: false }),
    type: 'Ready',
    is: 'False AgentAbsent',
    says: ['node-a'],
  },
  {
    fact: 'in mode Off readiness is feasibility',
    situation: withPods(off, { sectionHash: undefined, report: undefined }),
    type: 'Ready',
    is: 'True Ready',
    says: [],
  },
];

describe.each([
  ['Feasible', feasible],
  ['Applied', applied],
  ['Verified', verified],
  ['Conflict and Ready', others],
])('%s', (_, rows) => {
  test.each(rows)('$fact', ({ situation, type, is, says }) => {
    const { status } = reconcile(situation);

    expect(shortOf(status)).toContain(`${type} ${is}`);
    expect(says.filter((words) => !messageOf(status, type).includes(words))).toEqual([]);
  });
});

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
    withPods(situationOf(), {}, { report: undefined }, { sectionHash: undefined }, { isRunning: false }),
  );

  expect(status.pods).toEqual({ matched: 3, applied: 2, verified: 1 });
});

test('a pod of another template is current with the plan that it would get itself', () => {
  const ownRange = new Map([['net.ipv4.tcp_max_tw_buckets', '500000']]);
  const other = podOf({ observed: { ...podOf().observed, containerNames: ['main'] }, ownSysctls: ownRange });
  const situation = situationOf();
  const pods = [
    { ...podOf(), sectionHash: hashFor(situation) },
    { ...other, sectionHash: hashFor(situation, other) },
  ];

  const { status } = reconcile({ ...situation, pods });

  expect(hashFor(situation, other)).not.toBe(hashFor(situation));
  expect(status.pods).toMatchObject({ matched: 2, applied: 2 });
});

test('the time of a condition is that of its status, not of its message', () => {
  const first = reconcile(withPods(situationOf(), {}, { sectionHash: undefined })).status;
  const later = new Date('2026-11-23T13:00:00Z');

  const second = reconcile({
    ...withPods(situationOf(), {}, {}, { sectionHash: undefined }),
    previous: first,
    now: later,
  }).status;
  const third = reconcile({ ...withPods(situationOf(), {}), previous: first, now: later }).status;

  const applied = ({ conditions }: typeof first) => conditions.find(({ type }) => type === 'Applied');
  expect(applied(first)?.lastTransitionTime).toBe('2026-11-23T12:00:00Z');
  expect(applied(second)).toMatchObject({ lastTransitionTime: '2026-11-23T12:00:00Z', status: 'False' });
  expect(applied(second)?.message).not.toBe(applied(first)?.message);
  expect(applied(third)).toMatchObject({ lastTransitionTime: '2026-11-23T13:00:00Z', status: 'True' });
});

test('the same situation an hour later gives the same status', () => {
  const first = reconcile(fitting).status;

  const second = reconcile({ ...fitting, previous: first, now: new Date('2026-11-23T13:00:00Z') });

  expect(second).toEqual({ status: first, transitions: [] });
});

test('the peak is the most that was ever seen in one pod', () => {
  const hash = hashFor(situationOf());
  const busy = withPods(
    situationOf(),
    { report: reportOf(hash, { connections: 700 }) },
    { report: reportOf(hash, { connections: 900 }) },
  );
  const peak = reconcile(busy).status;

  const quiet = reconcile({
    ...withPods(situationOf(), { report: reportOf(hash, { connections: 10 }) }),
    previous: peak,
  });

  expect(peak.peakConnections).toBe(900);
  expect(quiet.status.peakConnections).toBe(900);
  expect(reconcile(situationOf()).status.peakConnections).toBeUndefined();
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
