import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { type ConnectionBudget, parseConnectionBudget } from '../../src/api/budget-object.ts';
import type { ConnectionBudgetStatus } from '../../src/api/budget-status.ts';
import { connectionBudgetCrd, connectionNodeCrd } from '../../src/api/crd.ts';
import { podPlanFor } from '../../src/api/plan-section.ts';
import { encodeAnnotation, sectionHash } from '../../src/api/pod-annotation.ts';
import { budgets, connectionNodes, type CustomObject } from '../../src/controller/resources.ts';
import { type Controller, type ControllerOptions, startController } from '../../src/controller/run.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { type KubeConfig, readKubeConfig } from '../../src/kube/kube-config.ts';
import { isKubeError } from '../../src/kube/kube-error.ts';
import {
  type Event,
  events,
  type KubeObject,
  namespaces,
  nodes,
  type Pod,
  pods,
  type Resource,
} from '../../src/kube/resources.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { type ApiServer, startApiServer } from '../cluster/lab/api-server.ts';
import { budgetObject } from '../controller/situations.ts';
import { crds } from '../kube/crd-resource.ts';
import { until } from '../kube/until.ts';

/** A real API server with our CRDs and no kubelet: what a kubelet or an agent would write, the tests write. */
export interface ControllerSetting {
  server: ApiServer;
  config: KubeConfig;
  client: KubeClient;
}

export const call = { signal: new AbortController().signal } as const;
export const operatorNamespace = 'connectionbudget-system';

const budgetCrd = { resource: crds, name: 'connectionbudgets.connectionbudget.io' } as const;

export function useControllerSetting(): ControllerSetting {
  const setting: Partial<ControllerSetting> = {};
  let dir = '';
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'controller-'));
    setting.server = await startApiServer({ dir });
    setting.config = readKubeConfig(setting.server.kubeconfig);
    setting.client = createKubeClient(setting.config);
    for (const crd of [connectionBudgetCrd(), connectionNodeCrd()]) {
      await setting.client.create(crds, crd, call);
    }
    for (const resource of [budgets, connectionNodes]) await until(() => isServed(setting.client!, resource), true);
    await setting.client.create(namespaces, { metadata: { name: operatorNamespace } }, call);
  }, 600_000);
  afterAll(async () => {
    await setting.client?.close();
    await setting.server?.stop();
    await rm(dir, { recursive: true, force: true });
  }, 60_000);
  return setting as ControllerSetting;
}

export async function deleteBudgetCrd({ client }: ControllerSetting): Promise<void> {
  await client.delete(budgetCrd, call);
  const isGone = (): Promise<boolean> =>
    client.get(budgetCrd, call).then(
      () => false,
      () => true,
    );
  await until(isGone, true, 40_000);
}

export async function createBudgetCrd({ client }: ControllerSetting): Promise<void> {
  await client.create(crds, connectionBudgetCrd(), call);
  await until(() => isServed(client, budgets), true, 40_000);
}

async function isServed(client: KubeClient, resource: Resource<CustomObject>): Promise<boolean> {
  return client.list(resource, {}, call).then(
    () => true,
    () => false,
  );
}

/** Runs `stored` while the API server takes every budget, as an earlier version of the CRD may have done. */
export async function withLooseCrd({ client }: ControllerSetting, stored: () => Promise<unknown>): Promise<void> {
  const anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  const schema = [{ op: 'replace', path: '/spec/versions/0/schema/openAPIV3Schema', value: anything }] as const;
  const tight = await client.get(budgetCrd, call);
  await client.patch(budgetCrd, schema, call);
  await until(() => stored().then(() => true), true);
  const { spec } = tight as { readonly spec: unknown };
  await client.patch(budgetCrd, [{ op: 'replace', path: '/spec', value: spec }], call);
}

export interface RunningController extends Controller {
  readonly stop: () => Promise<void>;
}

/** A controller in this process, stopped at the end of the test. */
export function runController(setting: ControllerSetting, change: Partial<ControllerOptions> = {}): RunningController {
  const running = startControllerIn(setting, change);
  onTestFinished(running.stop);
  return running;
}

/** The same for a whole file of tests: its caller stops it. */
export function startControllerIn(
  { config }: ControllerSetting,
  change: Partial<ControllerOptions> = {},
): RunningController {
  const client = createKubeClient(config, { connections: 4 });
  const leading = new AbortController();
  const watching = new AbortController();
  const controller = startController({
    config,
    client,
    namespace: operatorNamespace,
    identity: 'test',
    logger: createLogger({ level: 'error', name: 'test', destination: new PassThrough().resume() }),
    metrics: createMetrics(),
    leadSignal: leading.signal,
    signal: watching.signal,
    ...change,
  });
  const stop = async (): Promise<void> => {
    leading.abort();
    await controller.retired;
    watching.abort();
    await controller.stopped;
    await client.close();
  };
  return { ...controller, stop };
}

export const enabled = { 'connectionbudget.io/enabled': 'true' };

/** Empty, also for the second try of a test. */
export async function createNamespace(
  { client }: ControllerSetting,
  name: string,
  labels: Readonly<Record<string, string>> = enabled,
): Promise<void> {
  try {
    await client.create(namespaces, { metadata: { name, labels } }, call);
  } catch (error) {
    if (!isKubeError(error, 'AlreadyExists')) throw error;
    await emptyNamespace(client, name);
  }
}

async function emptyNamespace(client: KubeClient, namespace: string): Promise<void> {
  for (const resource of [budgets, pods] as readonly Resource<KubeObject>[]) {
    const { items } = await patiently(() => client.list(resource, { namespace, metadataOnly: true }, call));
    for (const { metadata } of items) {
      const target = { resource, namespace, name: metadata?.name ?? '' };
      await patiently(() => client.delete(target, { ...call, gracePeriodSeconds: 0 }));
    }
  }
}

/** A changed CRD is answered for with "storage is (re)initializing" at first. */
async function patiently<T>(send: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await send();
    } catch (error) {
      if (!isKubeError(error, 'TooManyRequests')) throw error;
      await wait(error.retryAfterMs ?? 100);
    }
  }
}

export async function createBudget(
  { client }: ControllerSetting,
  namespace: string,
  change: { readonly name?: string; readonly spec?: object } = {},
): Promise<ConnectionBudget> {
  const { name = 'gateway', spec = {} } = change;
  const wire = budgetObject(spec) as CustomObject;
  const stored = await patiently(() => client.create(budgets, { ...wire, metadata: { namespace, name } }, call));
  return parseConnectionBudget(stored).budget!;
}

/** A pod that a kubelet would have started. */
export async function createRunningPod({ client }: ControllerSetting, pod: Pod): Promise<Pod> {
  const { namespace = '', name = '' } = pod.metadata ?? {};
  const spec = { nodeName: 'node-a', containers: [{ name: 'gateway', image: 'none' }], ...pod.spec };
  await client.create(pods, { ...pod, spec }, call);
  const target = { resource: pods, namespace, name, subresource: 'status' } as const;
  return client.patch(target, { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } }, call);
}

export interface PlannedPod {
  readonly pod: Pod;
  readonly hash: string;
}

/** The same with the annotation that the webhook would have given it. */
export async function createPlannedPod(
  setting: ControllerSetting,
  controller: Controller,
  planned: { readonly budget: ConnectionBudget; readonly name: string },
): Promise<PlannedPod> {
  const { budget, name } = planned;
  const { namespace, spec } = budget;
  const manifest = { spec: { containers: [{ name: 'gateway' }] } };
  const { section } = podPlanFor({
    budget,
    pod: manifest,
    namespaceLabels: {},
    observed: controller.surroundings.observedFor(budget),
    node: controller.surroundings.nodeFactsFor(budget),
    keyId: 'k1',
  });
  const annotations = { 'connectionbudget.io/plan': encodeAnnotation(section, Buffer.from('not looked at here')) };
  const labels = spec.selector.matchLabels ?? {};
  const pod = await createRunningPod(setting, { metadata: { namespace, name, labels, annotations } });
  return { pod, hash: sectionHash(section) };
}

export async function createNode({ client }: ControllerSetting, name: string): Promise<void> {
  await client.create(nodes, { metadata: { name } }, call);
  const identity = { apiVersion: 'connectionbudget.io/v1alpha1', kind: 'ConnectionNode' };
  await client.create(connectionNodes, { ...identity, metadata: { name } }, call);
}

/** What an agent writes. */
export async function reportNode(setting: ControllerSetting, name: string, status: object): Promise<void> {
  const agent = { version: '0.1.0', runtime: 'containerd 2.1', connected: true, canRaiseNofile: true, keyIds: ['k1'] };
  const target = { resource: connectionNodes, name, subresource: 'status' } as const;
  const fields = { status: { agent, ...status } };
  await setting.client.apply(target, fields, { ...call, fieldManager: 'connectionbudget-agent' });
}

export async function statusOf(
  { client }: ControllerSetting,
  namespace: string,
  name = 'gateway',
): Promise<ConnectionBudgetStatus | undefined> {
  const stored = await client.get({ resource: budgets, namespace, name }, call);
  return stored.status as ConnectionBudgetStatus | undefined;
}

/** "Applied False PodsOutdated"; undefined before there is one. */
export async function conditionOf(
  setting: ControllerSetting,
  type: string,
  [namespace, name = 'gateway']: readonly [namespace: string, name?: string],
): Promise<string | undefined> {
  const status = await statusOf(setting, namespace, name);
  const condition = status?.conditions.find((one) => one.type === type);
  return condition === undefined ? undefined : `${type} ${condition.status} ${condition.reason}`;
}

/** "Normal PlanFits gateway" of every Event of a namespace, in order. */
export async function eventsIn({ client }: ControllerSetting, namespace: string): Promise<readonly string[]> {
  const { items } = await client.list<Event>(events, { namespace }, call);
  return items
    .toSorted((a, b) => Number(a.metadata?.resourceVersion) - Number(b.metadata?.resourceVersion))
    .map(({ type, reason, regarding }) => `${type} ${reason} ${regarding?.name}`);
}
