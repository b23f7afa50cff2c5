import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { budgets } from '../../src/controller/resources.ts';
import { events, namespaces, pods, services } from '../../src/kube/resources.ts';
import { endpointSlices } from '../../src/kube/resources.ts';
import { roomyNode, tooMany } from '../controller/situations.ts';
import { until } from '../kube/until.ts';
import {
  call,
  conditionOf,
  createBudgetCrd,
  deleteBudgetCrd,
  createBudget,
  createNamespace,
  createNode,
  createPlannedPod,
  createRunningPod,
  eventsIn,
  reportNode,
  runController,
  statusOf,
  useControllerSetting,
  withLooseCrd,
} from './controller-setting.ts';

const setting = useControllerSetting();

const gateway = { app: 'gateway' };
const toService = {
  inbound: [],
  outbound: [
    {
      name: 'broker',
      connections: 5000,
      destination: { service: { name: 'broker', port: 1883, reachedBy: 'Endpoints' } },
    },
  ],
};

test('a budget gets its status and conditions in less than two seconds', async () => {
  const controller = runController(setting);
  await until(() => controller.isLeading(), true);
  await createNamespace(setting, 'fast');

  await createBudget(setting, 'fast');
  const createdMs = performance.now();
  await until(() => conditionOf(setting, 'Ready', ['fast']), 'Ready True Ready');

  expect(performance.now() - createdMs).toBeLessThan(2000);
  const status = await statusOf(setting, 'fast');
  expect(status).toMatchObject({
    observedGeneration: 1,
    plan: { declaredConnections: 20_000, plannedConnections: 22_000 },
    pods: { matched: 0, applied: 0, verified: 0 },
  });
  expect(status?.conditions.map(({ type }) => type)).toEqual(['Feasible', 'Applied', 'Verified', 'Conflict', 'Ready']);
});

test('nothing is written at rest', async () => {
  const controller = runController(setting);
  await createNamespace(setting, 'rest');
  await createBudget(setting, 'rest');
  await createRunningPod(setting, { metadata: { namespace: 'rest', name: 'gateway-1', labels: gateway } });
  await until(() => conditionOf(setting, 'Applied', ['rest']), 'Applied False PodsOutdated');
  await until(() => controller.isLeading(), true);
  await delay(500);
  const versions = async (): Promise<readonly string[]> => {
    const stored = await setting.client.list(budgets, {}, call);
    const told = await setting.client.list(events, {}, call);
    return [...stored.items, ...told.items].map(({ metadata }) => `${metadata?.name} ${metadata?.resourceVersion}`);
  };
  const before = await versions();

  await delay(3000);

  expect(await versions()).toEqual(before);
});

test('a pod is outdated, current, verified, each told once', async () => {
  const controller = runController(setting);
  await createNamespace(setting, 'pods');
  await createNode(setting, 'node-a');
  await reportNode(setting, 'node-a', { facts: roomyNode, pods: [] });
  const budget = await createBudget(setting, 'pods');
  await until(() => conditionOf(setting, 'Feasible', ['pods']), 'Feasible True AssumptionsUnverified');
  await until(() => controller.surroundings.nodeFactsFor(budget)?.settableNofile, roomyNode.settableNofile);

  const { pod, hash } = await createPlannedPod(setting, controller, { budget, name: 'gateway-1' });
  await until(() => conditionOf(setting, 'Ready', ['pods']), 'Ready Unknown Pending');
  const report = { namespace: 'pods', name: 'gateway-1', uid: pod.metadata?.uid, budget: 'gateway', sectionHash: hash };
  const seen = { ...report, verified: true, reason: 'Applied', message: 'as planned', connections: 700 };
  await reportNode(setting, 'node-a', { facts: roomyNode, pods: [seen] });
  await until(() => conditionOf(setting, 'Ready', ['pods']), 'Ready True Ready');

  expect(await statusOf(setting, 'pods')).toMatchObject({
    plan: { hash },
    pods: { matched: 1, applied: 1, verified: 1 },
    usage: { peakConnections: 700, peakTime: expect.stringMatching(/Z$/) },
  });
  await createRunningPod(setting, { metadata: { namespace: 'pods', name: 'gateway-2', labels: gateway } });
  await until(() => conditionOf(setting, 'Ready', ['pods']), 'Ready False NotApplied');
  await setting.client.delete(
    { resource: pods, namespace: 'pods', name: 'gateway-2' },
    { ...call, gracePeriodSeconds: 0 },
  );
  await until(() => conditionOf(setting, 'Ready', ['pods']), 'Ready True Ready');
  await delay(300);
  expect(await eventsIn(setting, 'pods')).toEqual([
    'Normal PlanFits gateway',
    'Normal AllPodsCurrent gateway',
    'Normal AllPodsVerified gateway',
    'Warning PodsOutdated gateway',
    'Normal AllPodsCurrent gateway',
    'Normal AllPodsVerified gateway',
  ]);
});

test('a forged plan is told at its pod, once', async () => {
  runController(setting);
  await createNamespace(setting, 'forged');
  await createNode(setting, 'node-forged');
  const metadata = { namespace: 'forged', name: 'stranger', labels: { app: 'stranger' } };
  const pod = await createRunningPod(setting, {
    metadata,
    spec: { nodeName: 'node-forged', containers: [{ name: 'main', image: 'none' }] },
  });
  const report = {
    namespace: 'forged',
    name: 'stranger',
    uid: pod.metadata?.uid,
    budget: '',
    sectionHash: '0123456789abcdef',
    verified: false,
    reason: 'SignatureInvalid',
    message: 'the key k9 is not known here',
  };

  await reportNode(setting, 'node-forged', { pods: [report] });
  await until(() => eventsIn(setting, 'forged'), ['Warning SignatureInvalid stranger']);
  await reportNode(setting, 'node-forged', { pods: [report], facts: { nrOpen: 1_048_576 } });
  await delay(500);

  expect(await eventsIn(setting, 'forged')).toEqual(['Warning SignatureInvalid stranger']);
});

test('two budgets for one pod are told so both, and no longer when one is gone', async () => {
  runController(setting);
  await createNamespace(setting, 'conflict');
  await createBudget(setting, 'conflict', { name: 'a' });
  await createBudget(setting, 'conflict', { name: 'b' });
  await createRunningPod(setting, { metadata: { namespace: 'conflict', name: 'gateway-1', labels: gateway } });

  await until(() => conditionOf(setting, 'Conflict', ['conflict', 'a']), 'Conflict True ShadowsNewerBudget');
  await until(() => conditionOf(setting, 'Conflict', ['conflict', 'b']), 'Conflict True OlderBudgetWins');

  await setting.client.delete({ resource: budgets, namespace: 'conflict', name: 'a' }, call);
  await until(() => conditionOf(setting, 'Conflict', ['conflict', 'b']), 'Conflict False NoConflict');
});

test('a name that is as long as names may be gets its status and Events', async () => {
  runController(setting);
  const name = `${'a'.repeat(199)}.${'b'.repeat(53)}`;
  await createNamespace(setting, 'long');

  await createBudget(setting, 'long', { name, spec: tooMany });

  await until(() => eventsIn(setting, 'long'), [`Warning LimitBinds ${name}`]);
});

test('a Service and its endpoints are found when they come', async () => {
  runController(setting);
  const metadata = { namespace: 'destination', name: 'broker' };
  await createNamespace(setting, 'destination');
  await createBudget(setting, 'destination', { spec: toService });
  await until(() => conditionOf(setting, 'Ready', ['destination']), 'Ready Unknown Pending');

  await setting.client.create(services, { metadata, spec: { ports: [{ name: 'mqtt', port: 1883 }] } }, call);
  await until(() => conditionOf(setting, 'Feasible', ['destination']), 'Feasible True AssumptionsUnverified');
  const labels = { 'kubernetes.io/service-name': 'broker' };
  const endpoints = ['10.1.0.1', '10.1.0.2', '10.1.0.3'].map((address) => ({ addresses: [address] }));
  const slice = { addressType: 'IPv4', ports: [{ name: 'mqtt', port: 1883 }], endpoints };
  await setting.client.create(endpointSlices, { metadata: { ...metadata, labels }, ...slice }, call);

  const destinations = async () => (await statusOf(setting, 'destination'))?.destinations;
  await until(destinations, [{ flow: 'broker', targets: 3 }]);
});

test('a namespace that is enabled later is seen', async () => {
  runController(setting);
  await createNamespace(setting, 'asleep', {});
  await createBudget(setting, 'asleep');
  await until(() => conditionOf(setting, 'Applied', ['asleep']), 'Applied False NamespaceNotEnabled');

  const labels = { 'connectionbudget.io/enabled': 'true' };
  await setting.client.patch({ resource: namespaces, name: 'asleep' }, { metadata: { labels } }, call);

  await until(() => conditionOf(setting, 'Applied', ['asleep']), 'Applied Unknown NoPods');
});

test('a stored object that has become invalid is told so and stops no other', async () => {
  await createNamespace(setting, 'invalid');
  const ports = [{ name: 'mqtt', port: 70_000, connections: 1 }];
  const create = () => createBudgetAsStored('invalid', { selector: { matchLabels: gateway }, inbound: ports });
  await withLooseCrd(setting, create);
  runController(setting);

  await createBudget(setting, 'invalid', { name: 'sound' });

  await until(() => conditionOf(setting, 'Ready', ['invalid', 'sound']), 'Ready True Ready');
  await until(() => conditionOf(setting, 'Feasible', ['invalid', 'broken']), 'Feasible False InvalidSpec');
});

async function createBudgetAsStored(namespace: string, spec: object): Promise<void> {
  await setting.client.create(
    budgets,
    {
      metadata: { namespace, name: 'broken' },
      apiVersion: 'connectionbudget.io/v1alpha1',
      kind: 'ConnectionBudget',
      spec,
    },
    call,
  );
}

test('a changed spec is planned anew, and a recreated budget is another one', async () => {
  runController(setting);
  await createNamespace(setting, 'changed');
  await createBudget(setting, 'changed');
  const declared = async () => (await statusOf(setting, 'changed'))?.plan?.declaredConnections;
  const target = { resource: budgets, namespace: 'changed', name: 'gateway' } as const;
  await until(declared, 20_000);

  await setting.client.patch(target, [{ op: 'replace', path: '/spec/inbound/0/connections', value: 30_000 }], call);
  await until(declared, 30_000);
  expect(await statusOf(setting, 'changed')).toMatchObject({ observedGeneration: 2 });
  await setting.client.delete(target, call);
  await createBudget(setting, 'changed');

  await until(declared, 20_000);
  expect(await statusOf(setting, 'changed')).toMatchObject({ observedGeneration: 1 });
});

test('what somebody else writes into a status is put right', async () => {
  runController(setting);
  await createNamespace(setting, 'foreign');
  await createBudget(setting, 'foreign');
  await until(() => conditionOf(setting, 'Ready', ['foreign']), 'Ready True Ready');
  const target = { resource: budgets, namespace: 'foreign', name: 'gateway', subresource: 'status' } as const;

  await setting.client.patch(target, [{ op: 'remove', path: '/status' }], call);

  await until(() => conditionOf(setting, 'Ready', ['foreign']), 'Ready True Ready');
});

test('a field of the status that somebody else took is ours again, and nothing else of his is', async () => {
  runController(setting);
  await createNamespace(setting, 'owned');
  await createBudget(setting, 'owned');
  await until(() => conditionOf(setting, 'Ready', ['owned']), 'Ready True Ready');
  const target = { resource: budgets, namespace: 'owned', name: 'gateway' } as const;
  const before = (await statusOf(setting, 'owned'))?.message;
  const foreign = { ...call, fieldManager: 'somebody', force: true } as const;
  await setting.client.apply(target, { metadata: { labels: { team: 'his' } } }, foreign);

  await setting.client.apply({ ...target, subresource: 'status' }, { status: { message: 'mine' } }, foreign);

  await until(async () => (await statusOf(setting, 'owned'))?.message, before);
  expect((await setting.client.get(target, call)).metadata?.labels).toEqual({ team: 'his' });
});

test('a CRD that was deleted and is there again is followed again', async () => {
  const controller = runController(setting);
  await until(() => controller.isLeading(), true);
  await deleteBudgetCrd(setting);
  await createBudgetCrd(setting);
  await createNamespace(setting, 'again');

  await createBudget(setting, 'again');

  await until(() => conditionOf(setting, 'Ready', ['again']), 'Ready True Ready', 40_000);
}, 90_000);
