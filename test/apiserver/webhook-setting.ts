import { PassThrough } from 'node:stream';
import { afterAll, beforeAll } from 'vitest';
import { budgets, type CustomObject } from '../../src/controller/resources.ts';
import { type Controller, startController } from '../../src/controller/run.ts';
import { createKubeClient } from '../../src/kube/client.ts';
import { type ConfigMap, configMaps, type Pod, pods } from '../../src/kube/resources.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics, type Metrics } from '../../src/observability/metrics.ts';
import { startWebhook, type Webhook, webhookNamesIn, type WebhookOptions } from '../../src/webhook/run.ts';
import { freePorts } from '../cluster/lab/ports.ts';
import { until } from '../kube/until.ts';
import { outboundBudget } from '../webhook/budgets.ts';
import {
  call,
  type ControllerSetting,
  createNamespace,
  enabled,
  operatorNamespace,
  useControllerSetting,
} from './controller-setting.ts';
import { budgetsConfiguration, mutating, podsConfiguration, validating } from './webhook-registration.ts';

/** A real API server that asks a webhook of this process, which answers from a controller's caches. */
export interface WebhookSetting extends ControllerSetting {
  port: number;
  controller: Controller;
  webhook: Webhook;
  metrics: Metrics;
  /** Ends the webhook, as a replica ends; the setting ends it too. */
  stopWebhook: () => Promise<void>;
}

export function useWebhookSetting(change: Partial<WebhookOptions> = {}): WebhookSetting {
  const setting = useControllerSetting() as WebhookSetting;
  const watching = new AbortController();
  beforeAll(async () => {
    const { client, config } = setting;
    const quiet = createLogger({ level: 'error', name: 'test', destination: new PassThrough().resume() });
    const shared = { client, logger: quiet, namespace: operatorNamespace, identity: 'test' };
    setting.metrics = createMetrics();
    setting.controller = startController({
      ...shared,
      config,
      metrics: setting.metrics,
      leadSignal: AbortSignal.abort(),
      signal: watching.signal,
    });
    [setting.port = 0] = await freePorts(1, call.signal);
    await client.create(mutating, podsConfiguration(setting.port), call);
    await client.create(validating, budgetsConfiguration(setting.port), call);
    await setting.controller.synced;
    const { webhook, stop } = await startReplica(setting, { metrics: setting.metrics, ...change });
    setting.webhook = webhook;
    setting.stopWebhook = stop;
    await createNamespace(setting, 'warm');
    await until(() => isAskedAbout(setting, 'warm'), true);
  }, 600_000);
  afterAll(async () => {
    await setting.stopWebhook();
    watching.abort();
    await setting.controller.stopped;
  }, 60_000);
  return setting;
}

/** How many budgets with the selector of outboundBudget() the webhook has seen. */
export const seenBudgets = ({ controller }: WebhookSetting, namespace: string): number =>
  controller.surroundings.budgetsMeaning({ namespace, labels: { app: 'gateway' } }).length;

interface Place {
  readonly labels?: Readonly<Record<string, string>>;
  readonly budgetNames?: readonly string[];
  readonly spec?: object;
}

/** A namespace whose budgets the webhook has seen. */
export async function withBudgets(setting: WebhookSetting, namespace: string, place: Place = {}): Promise<void> {
  const { labels = enabled, budgetNames = ['gateway'], spec = {} } = place;
  await createNamespace(setting, namespace, labels);
  for (const name of budgetNames) {
    const budget = outboundBudget({ spec }) as CustomObject;
    await setting.client.create(budgets, { ...budget, metadata: { namespace, name } }, call);
  }
  const { surroundings } = setting.controller;
  await until(() => seenBudgets(setting, namespace), budgetNames.length);
  await until(() => surroundings.namespaceLabels(namespace) !== undefined, true);
}

export interface Replica {
  readonly webhook: Webhook;
  /** As a replica ends: drained. */
  readonly stop: () => Promise<void>;
}

type Served = Pick<WebhookSetting, 'config' | 'controller' | 'port'>;

/** A webhook of this process, on the setting's port if `change` names no other. */
export async function startReplica(setting: Served, change: Partial<WebhookOptions>): Promise<Replica> {
  const stopping = new AbortController();
  const client = createKubeClient(setting.config);
  const webhook = await startWebhook({
    client,
    surroundings: setting.controller.surroundings,
    names: webhookNamesIn(operatorNamespace),
    port: setting.port,
    host: '127.0.0.1',
    extraHosts: ['127.0.0.1'],
    metrics: createMetrics(),
    logger: createLogger({ level: 'error', name: 'test', destination: new PassThrough().resume() }),
    onReady: () => undefined,
    drainMs: 0,
    upkeepMs: 250,
    signal: stopping.signal,
    ...change,
  });
  return {
    webhook,
    stop: async () => {
      stopping.abort();
      await webhook.closed;
      await client.close();
    },
  };
}

/** Whether the API server has taken in the configurations: a budget that only the webhook refuses is refused. */
export async function isAskedAbout({ client }: ControllerSetting, namespace: string): Promise<boolean> {
  const budget = {
    apiVersion: 'connectionbudget.io/v1alpha1',
    kind: 'ConnectionBudget',
    metadata: { namespace, name: 'probe' },
    spec: { selector: { matchLabels: { 'no label': 'key' } }, inbound: [{ name: 'a', port: 1, connections: 1 }] },
  };
  const path = `/apis/connectionbudget.io/v1alpha1/namespaces/${namespace}/connectionbudgets`;
  const request = { method: 'POST', path, query: { dryRun: 'All' }, body: budget } as const;
  return client.transport.send(request, call).then(
    () => false,
    (error: unknown) => String(error).includes('must be a label key'),
  );
}

/** Runs `stored` while budgets are written unseen by the webhook, as before it was installed. */
export async function withoutBudgetWebhook(setting: WebhookSetting, stored: () => Promise<void>): Promise<void> {
  const target = { resource: validating, name: 'connectionbudget' };
  const path = '/webhooks/0/rules/0/operations';
  await setting.client.patch(target, [{ op: 'replace', path, value: ['CONNECT'] }], call);
  await until(() => isAskedAbout(setting, 'warm'), false);
  await stored();
  await setting.client.patch(target, [{ op: 'replace', path, value: ['CREATE', 'UPDATE'] }], call);
  await until(() => isAskedAbout(setting, 'warm'), true);
}

export interface PodRequest {
  readonly namespace: string;
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly spec?: object;
  readonly dryRun?: boolean;
}

export async function createPod({ client }: ControllerSetting, request: PodRequest): Promise<Pod> {
  const { namespace, name, labels = { app: 'gateway' }, annotations = {}, spec = {}, dryRun = false } = request;
  const pod = {
    metadata: { name, labels, annotations },
    spec: { containers: [{ name: 'program', image: 'none' }], ...spec },
  };
  const path = `/api/v1/namespaces/${namespace}/pods`;
  const query = dryRun ? { dryRun: 'All' } : {};
  const body = { apiVersion: 'v1', kind: 'Pod', ...pod };
  return (await client.transport.send({ method: 'POST', path, query, body }, call)) as Pod;
}

export const planOf = (pod: Pod): string | undefined => pod.metadata?.annotations?.['connectionbudget.io/plan'];

export async function podExists({ client }: ControllerSetting, namespace: string, name: string): Promise<boolean> {
  return client.get({ resource: pods, namespace, name }, call).then(
    () => true,
    () => false,
  );
}

export async function publicKeys({ client }: ControllerSetting): Promise<ConfigMap['data']> {
  const target = { resource: configMaps, namespace: operatorNamespace, name: 'connectionbudget-public-keys' };
  return (await client.get(target, call)).data;
}
