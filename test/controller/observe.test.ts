import { expect, test } from 'vitest';
import type { ConnectionNodeStatus } from '../../src/api/connection-node.ts';
import type { ObservedService } from '../../src/api/demand.ts';
import type { Cluster, ServiceSlice } from '../../src/controller/cluster.ts';
import { createObservations, rivalsOf } from '../../src/controller/observations.ts';
import {
  matchingPods,
  nodeFactsFor,
  observedNow,
  smallestFacts,
  untouchablePods,
} from '../../src/controller/observe.ts';
import { projectBudget, projectConnectionNode, projectPod } from '../../src/controller/projections.ts';
import { reconcile } from '../../src/controller/reconcile.ts';
import { clusterPod, selecting, stored } from './cluster-objects.ts';
import { budgetObject, budgetOf, reportOf, roomyNode, situationOf } from './situations.ts';

const clusterOf = (change: Partial<Cluster> = {}): Cluster => ({
  budget: () => undefined,
  budgetKeys: () => [],
  budgetsIn: () => [],
  budgetsMeaning: () => [],
  podsSelected: () => [],
  service: () => undefined,
  slicesOf: () => [],
  attachment: () => undefined,
  namespaceLabels: () => ({}),
  connectionNode: () => undefined,
  connectionNodeNames: () => [],
  leastNodeFacts: () => undefined,
  ...change,
});

const slice = (addressType: string, addresses: readonly string[]): ServiceSlice => ({
  serviceKey: 'messaging/broker',
  addressType,
  ports: [{ port: 1883 }],
  endpoints: addresses.map((address) => ({ addresses: [address] })),
});

const nodeOf = (facts: object): ConnectionNodeStatus => ({ facts, pods: [] });
const budget = budgetOf();

test('pods match by label, newest first, and those that nobody may touch are left out', () => {
  const pods = [
    clusterPod('old', { createdAt: '2026-11-23T10:00:00Z' }),
    clusterPod('new', { createdAt: '2026-11-23T11:30:00Z' }),
    clusterPod('windows', { isLeftAlone: true }),
    clusterPod('stranger', { labels: { app: 'other' } }),
  ];

  const cluster = clusterOf(selecting({ pods }));
  expect(matchingPods(cluster, budget).map(({ name }) => name)).toEqual(['new', 'old']);
  expect(untouchablePods(cluster, budget)).toBe(1);
});

test('the scale is the pods, and the most of them on one node', () => {
  const pods = [
    clusterPod('1'),
    clusterPod('2'),
    clusterPod('3', { nodeName: 'node-b' }),
    clusterPod('4', { nodeName: undefined }),
  ];

  expect(observedNow(clusterOf(), budget, pods).scale).toEqual({ pods: 4, podsPerNode: 2 });
  expect(observedNow(clusterOf(), budget, []).scale).toBeUndefined();
  const refused = pods.map((pod) => ({ ...pod, refusal: 'forbidden sysctl' }));
  expect(observedNow(clusterOf(), budget, [...pods, ...refused]).scale).toEqual({ pods: 4, podsPerNode: 2 });
});

test('the Pod Security level of the namespace decides who reserves ports', () => {
  const labels = {
    'pod-security.kubernetes.io/enforce': 'baseline',
    'pod-security.kubernetes.io/enforce-version': 'v1.26',
  };
  const cluster = clusterOf({ namespaceLabels: () => labels });

  expect(observedNow(cluster, budget, [clusterPod('1')]).pod?.kubeletReservesPorts).toBe(false);
  expect(observedNow(clusterOf(), budget, [clusterPod('1')]).pod?.kubeletReservesPorts).toBe(true);
});

test('a Service of two address families has each endpoint once', () => {
  const flow = { name: 'broker', connections: 10, destination: { service: { name: 'broker', port: 1883 } } };
  const slices = [slice('IPv6', ['fd00::1', 'fd00::2']), slice('IPv4', ['10.0.0.1', '10.0.0.2'])];
  const cluster = clusterOf({ service: () => ({ spec: { ports: [{ port: 1883 }] } }), slicesOf: () => slices });

  const { services } = observedNow(cluster, budgetOf({ inbound: [], outbound: [flow] }), []);

  const expected: ObservedService = { headless: false, readyEndpoints: new Map([[1883, 2]]) };
  expect(services).toEqual(new Map([['messaging/broker', expected]]));
});

test('clients are the ready pods that the flow selects', () => {
  const clients = { podSelector: { matchLabels: { app: 'client' } } };
  const inbound = [{ name: 'mqtt', port: 1883, connections: 10, clients }];
  const labels = { app: 'client' };
  const pods = [clusterPod('1', { labels }), clusterPod('2', { labels, isReady: false }), clusterPod('3')];

  const { clientPods } = observedNow(clusterOf(selecting({ pods })), budgetOf({ inbound }), []);

  expect(clientPods).toEqual(new Map([['mqtt', 1]]));
});

test('of several nodes each fact is the smallest that is known', () => {
  expect(
    smallestFacts([
      { ...roomyNode, conntrackMax: 262_144, runtimeNofile: { soft: 1024, hard: 1_048_576 } },
      { ...roomyNode, conntrackMax: undefined, nrOpen: 900_000, runtimeNofile: { soft: 4096, hard: 524_288 } },
    ]),
  ).toMatchObject({
    conntrackMax: 262_144,
    nrOpen: 900_000,
    runtimeNofile: { soft: 1024, hard: 524_288 },
    kernelRelease: undefined,
  });
  expect(smallestFacts([])).toBeUndefined();
});

test('the nodes of the pods count; before there are any, all nodes with an agent', () => {
  const nodes = new Map([
    ['node-a', nodeOf({ nrOpen: 2_000_000 })],
    ['node-b', nodeOf({ nrOpen: 1_000_000 })],
  ]);
  const cluster = clusterOf({ connectionNode: (name) => nodes.get(name), leastNodeFacts: () => roomyNode });

  expect(nodeFactsFor(cluster, [clusterPod('1')])?.nrOpen).toBe(2_000_000);
  expect(nodeFactsFor(cluster, [])).toBe(roomyNode);
  expect(nodeFactsFor(cluster, [clusterPod('1', { nodeName: 'node-c' })])).toBeUndefined();
});

test('rivals are told from their age, then their name, with the pods that both select', () => {
  const older = budgetOf({}, { name: 'older', uid: 'o', creationTimestamp: '2026-11-22T00:00:00Z' });
  const sameAge = budgetOf({}, { name: 'zebra', uid: 'z' });
  const stranger = budgetOf({ selector: { matchLabels: { app: 'other' } } }, { name: 'stranger', uid: 's' });
  const budgets = [sameAge, stranger, budget, older].map(stored);
  const pods = [clusterPod('1'), clusterPod('2')];

  expect(rivalsOf(clusterOf(selecting({ budgets, pods })), budget)).toEqual([
    { name: 'older', wins: true, pods: 2 },
    { name: 'zebra', wins: false, pods: 2 },
  ]);
  expect(rivalsOf(clusterOf(selecting({ budgets })), budget)).toEqual([]);
});

test('pods that an older budget wins are not the newer one’s: not in its pods, its scale, nor its facts', () => {
  const selector = { matchLabels: { tier: 'front' } };
  const older = budgetOf({ selector }, { name: 'older', creationTimestamp: '2026-11-22T00:00:00Z' });
  const both = clusterPod('both', { labels: { app: 'gateway', tier: 'front' } });
  const cluster = clusterOf({
    ...selecting({ budgets: [budget, older].map(stored), pods: [both, clusterPod('own')] }),
    budget: () => stored(budget),
  });
  const observations = createObservations(cluster, () => 0);

  expect(matchingPods(cluster, budget).map(({ name }) => name)).toEqual(['own']);
  expect(matchingPods(cluster, older).map(({ name }) => name)).toEqual(['both']);
  expect(observations.observedFor(budget).scale?.pods).toBe(1);
  expect(rivalsOf(cluster, budget)).toEqual([{ name: 'older', wins: true, pods: 1 }]);
});

test('what the webhook hears of a scale holds for ten minutes, and a budget of another uid starts anew', () => {
  let pods = [clusterPod('1'), clusterPod('2'), clusterPod('3')];
  let present = budget;
  const cluster = clusterOf({
    podsSelected: (...asked) => selecting({ pods }).podsSelected(...asked),
    budget: () => stored(present),
  });
  let nowMs = 0;
  const observations = createObservations(cluster, () => nowMs);
  const planned = (): number | undefined => observations.observedFor(present).scale?.pods;

  expect(planned()).toBe(3);
  pods = pods.slice(0, 1);
  nowMs = 60_000;
  expect(planned()).toBe(3);
  nowMs = 700_000;
  expect(planned()).toBe(1);
  pods = [clusterPod('1'), clusterPod('2')];
  nowMs = 701_000;
  expect(planned()).toBe(2);
  pods = pods.slice(0, 1);
  present = budgetOf({}, { uid: 'another' });
  expect(planned()).toBe(1);
});

test('the webhook is told the same for a second, at once what was looked at since, and the very same value if equal', () => {
  let pods = [clusterPod('1')];
  let nowMs = 0;
  const podsSelected: Cluster['podsSelected'] = (...asked) => selecting({ pods }).podsSelected(...asked);
  const cluster = clusterOf({ podsSelected, budget: () => stored(budget) });
  const observations = createObservations(cluster, () => nowMs);
  const first = observations.observedFor(budget);

  pods = [clusterPod('1'), clusterPod('2')];
  nowMs = 999;
  expect(observations.observedFor(budget)).toBe(first);
  nowMs = 1000;
  expect(observations.observedFor(budget).scale?.pods).toBe(2);

  pods = [clusterPod('1'), clusterPod('2'), clusterPod('3')];
  const { observed } = observations.settledFor(budget);
  expect(observed.scale?.pods).toBe(3);
  expect(observations.observedFor(budget)).toBe(observed);
  nowMs = 5000;
  expect(observations.observedFor(budget)).toBe(observed);
});

test('what another version wrote is read, without the fields that only it knows', () => {
  const later = { new: 1 };
  const report = reportOf('0123456789abcdef');
  const agent = { version: '9', runtime: 'containerd', connected: true, canRaiseNofile: true, keyIds: ['k1'] };
  const facts = { nrOpen: 1_048_576 };
  const node = { facts: { ...facts, ...later }, agent: { ...agent, ...later }, pods: [{ ...report, ...later }] };
  const { status } = reconcile(situationOf());

  expect(projectConnectionNode({ status: { ...node, ...later } })).toEqual({ facts, agent, pods: [report] });
  expect(projectBudget({ ...budgetObject(), status: { ...status, ...later } }).status).toEqual(status);
});

test('a pod has run since its first container started, and since it was created where none has', () => {
  const metadata = { creationTimestamp: '2026-11-23T11:00:00Z' };
  const container = { name: 'a', image: '', imageID: '', ready: true, restartCount: 1 };
  const containerStatuses = [
    { ...container, state: { running: { startedAt: '2026-11-23T11:05:00Z' } } },
    {
      ...container,
      state: { running: { startedAt: '2026-11-23T11:06:00Z' } },
      lastState: { terminated: { exitCode: 1, startedAt: '2026-11-23T11:04:00Z' } },
    },
  ];

  expect(projectPod({ metadata })?.startedAt).toBe('2026-11-23T11:00:00Z');
  expect(projectPod({ metadata, status: { containerStatuses } })?.startedAt).toBe('2026-11-23T11:04:00Z');
});

test('a pod that has ended is forgotten, but for one that its kubelet refused for a sysctl', () => {
  const metadata = { namespace: 'messaging', name: 'gateway-1' };
  const failed = (reason: string) => ({ metadata, status: { phase: 'Failed', reason, message: 'why' } });
  expect(projectPod(failed('Evicted'))).toBeUndefined();
  expect(projectPod(failed('SysctlForbidden'))).toMatchObject({ refusal: 'why', isRunning: false });
  const ending = { ...metadata, deletionTimestamp: '2026-11-23T11:00:00Z' };
  expect(projectPod({ ...failed('SysctlForbidden'), metadata: ending })).toBeUndefined();
});
