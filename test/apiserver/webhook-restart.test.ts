import { once } from 'node:events';
import { type IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createKubeClient } from '../../src/kube/client.ts';
import { freePorts } from '../cluster/lab/ports.ts';
import { until } from '../kube/until.ts';
import { type Balancer, startBalancer } from './balancer.ts';
import { call } from './controller-setting.ts';
import { mutating } from './webhook-registration.ts';
import { createPod, planOf, startReplica, useWebhookSetting, withBudgets } from './webhook-setting.ts';

const setting = useWebhookSetting();

/** kube-apiserver keeps an idle connection for 90 s (http.Transport's IdleConnTimeout in client-go's transport). */
const idleMs = 95_000;

const idle = { agent: new Agent({ keepAlive: true, maxSockets: 1 }), sinceMs: 0 };

async function askOnKeptConnection(): Promise<{ readonly status: number | undefined; readonly isReused: boolean }> {
  const { agent } = idle;
  const asked = request({
    host: '127.0.0.1',
    port: setting.port,
    path: '/mutate-pods',
    agent,
    rejectUnauthorized: false,
  });
  const [response] = (await once(asked.end(), 'response')) as [IncomingMessage];
  await once(response.resume(), 'end');
  return { status: response.statusCode, isReused: asked.reusedSocket };
}

beforeAll(async () => {
  await askOnKeptConnection();
  idle.sinceMs = performance.now();
});
afterAll(() => idle.agent.destroy());

const drainMs = 2000;

async function startReadyReplica({ ready }: Balancer): Promise<{ readonly stop: () => Promise<void> }> {
  const [port = 0] = await freePorts(1, call.signal);
  const replica = await startReplica(setting, {
    port,
    drainMs,
    onReady: (isReady) => {
      if (isReady) ready.add(port);
      // kube-proxies learn of it some time later.
      else setTimeout(() => ready.delete(port), 500);
    },
  });
  onTestFinished(replica.stop);
  return replica;
}

/** Asks whatever the answer is: a call that fails may not be forgiven here. */
async function callThrough({ port }: Balancer): Promise<void> {
  const url = `https://127.0.0.1:${port}/mutate-pods`;
  const change = [
    { op: 'replace', path: '/webhooks/0/clientConfig/url', value: url },
    { op: 'replace', path: '/webhooks/0/failurePolicy', value: 'Fail' },
  ] as const;
  await setting.client.patch({ resource: mutating, name: 'connectionbudget' }, change, call);
}

const perSecond = 50;

/** Starts a pod's creation every 20 ms, whether the ones before were answered or not. */
async function createPods(namespace: string, signal: AbortSignal): Promise<readonly (string | undefined)[]> {
  const client = createKubeClient(setting.config, { connections: perSecond });
  onTestFinished(client.close);
  const startMs = performance.now();
  const created: Promise<string | undefined>[] = [];
  while (!signal.aborted) {
    const name = `pod-${created.length}`;
    created.push(createPod({ ...setting, client }, { namespace, name }).then(planOf));
    await wait(Math.max(0, startMs + (created.length * 1000) / perSecond - performance.now()));
  }
  return Promise.all(created);
}

test('while every replica is exchanged at 50 creations a second, no call fails and every pod has its plan', async () => {
  // Another one where it is tried again.
  const namespace = `rolling-${Date.now()}`;
  await withBudgets(setting, namespace);
  const balancer = await startBalancer();
  onTestFinished(balancer.close);
  const before = [await startReadyReplica(balancer), await startReadyReplica(balancer)];
  await callThrough(balancer);
  await until(
    () => createPod(setting, { namespace, name: 'a', dryRun: true }).then(() => balancer.connections() > 0),
    true,
  );
  const ending = new AbortController();
  const creating = createPods(namespace, ending.signal);

  for (const old of before) {
    await wait(1000);
    await startReadyReplica(balancer);
    await old.stop();
  }
  await wait(1000);
  ending.abort();
  const plans = await creating;

  expect(plans.length).toBeGreaterThan(4 * perSecond);
  expect(plans.filter((plan) => plan === undefined)).toEqual([]);
  // At least one more than to the first replica: the API server keeps few.
  expect(balancer.connections()).toBeGreaterThan(1);
}, 120_000);

test('a connection that was idle for longer than the API server keeps it still answers', async () => {
  await wait(idle.sinceMs + idleMs - performance.now());

  expect(await askOnKeptConnection()).toEqual({ status: 405, isReused: true });
}, 120_000);
