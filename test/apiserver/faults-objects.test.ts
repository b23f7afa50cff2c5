import { setTimeout as wait } from 'node:timers/promises';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { budgets } from '../../src/controller/resources.ts';
import type { JsonPatchStep } from '../../src/kube/calls.ts';
import { createKubeClient } from '../../src/kube/client.ts';
import { type Pod, pods } from '../../src/kube/resources.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { roomyNode } from '../controller/situations.ts';
import { crds } from '../kube/crd-resource.ts';
import { startFaultProxy } from '../kube/fault-proxy.ts';
import { until } from '../kube/until.ts';
import {
  call,
  conditionOf,
  createBudget,
  createBudgetCrd,
  createNamespace,
  createNode,
  createPlannedPod,
  createRunningPod,
  deleteBudgetCrd,
  reportNode,
  runController,
  statusOf,
  useControllerSetting,
  withLooseCrd,
} from './controller-setting.ts';

/** Objects that go while they are in use, that ask for too much, and that another version has written. */

const setting = useControllerSetting();
const labels = { app: 'gateway' };

beforeAll(async () => {
  for (const name of ['node-a', 'node-poor']) await createNode(setting, name);
  await reportNode(setting, 'node-a', { facts: roomyNode, pods: [] });
});

/** A controller whose requests are counted. */
async function runCounted() {
  const proxy = await startFaultProxy(setting.server.kubeconfig);
  const client = createKubeClient(proxy.config, { connections: 4 });
  onTestFinished(async () => {
    await client.close();
    await proxy.close();
  });
  const metrics = createMetrics();
  const controller = runController(setting, { client, metrics });
  await until(() => controller.isLeading(), true, 30_000);
  return { controller, metrics, requests: proxy.requests };
}

const messageOf = async (type: string, namespace: string): Promise<string> =>
  (await statusOf(setting, namespace))?.conditions.find((condition) => condition.type === type)?.message ?? '';

test('a budget that is deleted in use is forgotten, its pods stay as they are, and the next one finds them', async () => {
  const { controller, metrics, requests } = await runCounted();
  await createNamespace(setting, 'deleted');
  const budget = await createBudget(setting, 'deleted');
  await until(() => controller.surroundings.nodeFactsFor(budget)?.nrOpen, roomyNode.nrOpen);
  const { pod } = await createPlannedPod(setting, controller, { budget, name: 'gateway-1' });
  await until(() => conditionOf(setting, 'Applied', ['deleted']), 'Applied True AllPodsCurrent');
  const counted = async () => (await metrics.text()).match(/^connectionbudget_budgets\{.*\} [1-9]/gm)?.length ?? 0;
  const before = await counted();

  await setting.client.delete({ resource: budgets, namespace: 'deleted', name: 'gateway' }, call);
  await until(counted, before - 1);
  const sent = requests.length;
  await wait(1000);

  expect(requests.slice(sent).filter((line) => !line.startsWith('GET '))).toEqual([]);
  const stored = await setting.client.get<Pod>({ resource: pods, namespace: 'deleted', name: 'gateway-1' }, call);
  expect(stored.metadata?.resourceVersion).toBe(pod.metadata?.resourceVersion);
  expect(controller.surroundings.budgetsMeaning({ namespace: 'deleted', labels })).toEqual([]);
  await createBudget(setting, 'deleted');
  await until(() => conditionOf(setting, 'Applied', ['deleted']), 'Applied True AllPodsCurrent');
});

interface Excess {
  readonly name: string;
  readonly spec?: object;
  readonly report?: object;
  readonly phase?: string;
  readonly facts?: object;
  readonly is: string;
  readonly says: readonly string[];
}

const excesses: readonly Excess[] = [
  {
    name: 'nofile-above-nr-open',
    facts: { ...roomyNode, nrOpen: 2000 },
    is: 'Feasible False LimitBinds',
    says: ['22,064 descriptors', '2,000'],
  },
  {
    name: 'destination-unknown',
    spec: { outbound: [{ name: 'out', connections: 5, destination: { service: { name: 'broker', port: 1883 } } }] },
    is: 'Feasible Unknown DestinationNotFound',
    says: ['Service destination-unknown/broker (flow out) does not exist'],
  },
  {
    name: 'addresses-exhausted',
    phase: 'Pending',
    report: { verified: false, reason: 'AddressesMissing', message: '1 of 3 addresses are left in 10.244.0.0/24' },
    is: 'Verified False AddressesMissing',
    says: ['1 pod cannot start', 'gateway-1', '1 of 3 addresses are left in 10.244.0.0/24'],
  },
  {
    name: 'nofile-not-settable',
    report: { verified: false, reason: 'LimitNotSettable', message: 'nofile 22,064 is above 20,000, the most here' },
    is: 'Verified False LimitNotSettable',
    says: ['gateway-1', 'nofile 22,064 is above 20,000'],
  },
];

test.each(excesses)('$name is a condition with the number', async (row) => {
  const { name: namespace, spec = {}, report, phase = 'Running', facts = roomyNode, is, says } = row;
  runController(setting);
  await createNamespace(setting, namespace);
  await createBudget(setting, namespace, { spec });
  const placed = { nodeName: 'node-poor', containers: [{ name: 'gateway', image: 'none' }] };
  const metadata = { namespace, name: 'gateway-1', labels };
  const pod = await createRunningPod(setting, { metadata, spec: placed });
  const target = { resource: pods, namespace, name: 'gateway-1', subresource: 'status' } as const;
  await setting.client.patch(target, { status: { phase } }, call);
  const identity = { namespace, name: 'gateway-1', uid: pod.metadata?.uid, budget: 'gateway', sectionHash: 'none' };
  const reports = [report].filter((one) => one !== undefined).map((one) => ({ ...identity, ...one }));
  await reportNode(setting, 'node-poor', { facts, pods: reports });

  const [type = ''] = is.split(' ');
  await until(() => conditionOf(setting, type, [namespace]), is);
  for (const text of says) expect(await messageOf(type, namespace)).toContain(text);
});

const budgetCrd = { resource: crds, name: 'connectionbudgets.connectionbudget.io' } as const;
const schema = '/spec/versions/0/schema/openAPIV3Schema/properties';
const sockets = { type: 'object', default: { busyPoll: 50 }, properties: { busyPoll: { type: 'integer' } } };

/** While the definition is another version's than we are. */
async function withCrd(change: readonly JsonPatchStep[], action: () => Promise<void>): Promise<void> {
  const before = await setting.client.get(budgetCrd, call);
  await setting.client.patch(budgetCrd, change, call);
  try {
    await action();
  } finally {
    const { spec } = before as { readonly spec: unknown };
    await setting.client.patch(budgetCrd, [{ op: 'replace', path: '/spec', value: spec }], call);
  }
}

/** As an upgrade begins, or a downgrade ends. */
const newer: readonly JsonPatchStep[] = [
  { op: 'add', path: `${schema}/spec/properties/sockets`, value: sockets },
  { op: 'add', path: `${schema}/status/properties/conditions/items/properties/type/enum/-`, value: 'Tuned' },
];
const older: readonly JsonPatchStep[] = [{ op: 'remove', path: `${schema}/status/properties/message` }];

test('a budget with fields and a status of a newer version is planned, keeps its peak, and is written once', async () => {
  await createNamespace(setting, 'newer');
  await withCrd(newer, async () => {
    const target = { resource: budgets, namespace: 'newer', name: 'gateway' } as const;
    await createBudget(setting, 'newer');
    const tuned = {
      type: 'Tuned',
      status: 'True',
      reason: 'Tuned',
      message: '',
      lastTransitionTime: '2026-11-23T12:00:00Z',
    };
    const usage = { peakConnections: 700, peakTime: '2026-11-23T12:00:00Z' };
    const status = { observedGeneration: 1, conditions: [tuned], usage };
    const write = () => setting.client.patch({ ...target, subresource: 'status' }, { status }, call).then(() => true);
    await until(write, true);
    const stored = await setting.client.get(target, call);
    expect(stored).toHaveProperty('spec.sockets.busyPoll', 50);

    const { controller, requests } = await runCounted();
    await until(() => conditionOf(setting, 'Feasible', ['newer']), 'Feasible True AssumptionsUnverified');
    await wait(1000);

    expect(await messageOf('Feasible', 'newer')).toContain(
      'spec.sockets is not known to this version and is not planned',
    );
    expect(controller.surroundings.budgetsMeaning({ namespace: 'newer', labels })).toHaveLength(1);
    expect(await statusOf(setting, 'newer')).toMatchObject({ usage, observedGeneration: 1 });
    expect(requests.filter((line) => /^PATCH .*newer.*\/status/.test(line))).toHaveLength(1);
  });
});

test('an operator newer than its CRD plans pods, leaves out of statuses what that does not declare, and adds it later', async () => {
  const names = ['gateway', 'broker', 'proxy'];
  await createNamespace(setting, 'ahead');
  await withCrd(older, async () => {
    const { controller } = await runCounted();
    for (const name of names) await createBudget(setting, 'ahead', { name });

    for (const name of names)
      await until(async () => (await statusOf(setting, 'ahead', name))?.observedGeneration, 1, 30_000);
    // Its own writes are looked at too.
    await wait(1000);
    for (const name of names) expect(await statusOf(setting, 'ahead', name)).not.toHaveProperty('message');
    expect(controller.surroundings.budgetsMeaning({ namespace: 'ahead', labels })).toHaveLength(names.length);
  });

  for (const name of names)
    await until(async () => typeof (await statusOf(setting, 'ahead', name))?.message, 'string', 30_000);
});

test('a budget that an older version stored without our defaults is planned as one with them', async () => {
  await createNamespace(setting, 'older');
  const spec = { selector: { matchLabels: labels }, inbound: [{ name: 'mqtt', port: 1883, connections: 20_000 }] };
  const identity = { apiVersion: 'connectionbudget.io/v1alpha1', kind: 'ConnectionBudget' };
  const metadata = { namespace: 'older', name: 'gateway' };
  await withLooseCrd(setting, () => setting.client.create(budgets, { ...identity, metadata, spec }, call));
  runController(setting);

  await until(async () => (await statusOf(setting, 'older'))?.plan?.plannedConnections, 22_000, 30_000);
});

test('stored objects that are huge are told so in few words, and stop no other', async () => {
  await createNamespace(setting, 'huge');
  const matchLabels = Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`l${at}`, 'v']));
  const inbound = [{ name: 'n'.repeat(100_000), port: 1883, connections: 1 }];
  const identity = { apiVersion: 'connectionbudget.io/v1alpha1', kind: 'ConnectionBudget' };
  const store = (name: string, spec: object) => () =>
    setting.client.create(budgets, { ...identity, metadata: { namespace: 'huge', name }, spec }, call);
  await withLooseCrd(setting, store('long', { selector: { matchLabels: labels }, inbound }));
  await withLooseCrd(setting, store('wide', { selector: { matchLabels }, inbound: [{ ...inbound[0], name: 'a' }] }));
  runController(setting);
  await createBudget(setting, 'huge', { name: 'sound' });

  await until(() => conditionOf(setting, 'Feasible', ['huge', 'sound']), 'Feasible True AssumptionsUnverified', 30_000);
  await until(() => conditionOf(setting, 'Feasible', ['huge', 'long']), 'Feasible False InvalidSpec');
  const { message = '' } = (await statusOf(setting, 'huge', 'long')) ?? {};
  expect(message.length).toBeLessThanOrEqual(1024);
});

test('while the CRD is gone it is asked for with patience, and everything goes on when it is back', async () => {
  const { requests } = await runCounted();
  await createNamespace(setting, 'gone');
  await createBudget(setting, 'gone');
  await until(() => conditionOf(setting, 'Ready', ['gone']), 'Ready True Ready');

  await deleteBudgetCrd(setting);
  const sent = requests.length;
  await wait(6000);
  const asked = requests.slice(sent).filter((line) => line.includes('/connectionbudgets'));
  await createBudgetCrd(setting);
  await createBudget(setting, 'gone');

  // Pauses of 0.5 to 1 s, 1 to 2 s, 2 to 4 s: five tries at most in 6 s, and each may be of both ways to list.
  expect(asked.length).toBeLessThanOrEqual(10);
  await until(() => conditionOf(setting, 'Ready', ['gone']), 'Ready True Ready', 40_000);
}, 90_000);
