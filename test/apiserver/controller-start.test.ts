import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { startCaches } from '../../src/controller/caches.ts';
import { createKubeClient } from '../../src/kube/client.ts';
import { type FaultProxy, startFaultProxy } from '../kube/fault-proxy.ts';
import { until } from '../kube/until.ts';
import {
  conditionOf,
  createBudget,
  createNamespace,
  runController,
  useControllerSetting,
} from './controller-setting.ts';

const setting = useControllerSetting();

async function startProxy(): Promise<FaultProxy> {
  const proxy = await startFaultProxy(setting.server.kubeconfig);
  onTestFinished(proxy.close);
  return proxy;
}

test('no budget is looked at before everything is listed, and then those that change', async () => {
  const proxy = await startProxy();
  const stop = new AbortController();
  const touched: string[] = [];
  await createNamespace(setting, 'start');
  await createBudget(setting, 'start', { name: 'there' });
  proxy.answerNext(/\/api\/v1\/pods\?/, { status: 503 });

  const client = createKubeClient(proxy.config);
  const caches = startCaches({
    client,
    touched: (key) => touched.push(key),
    budgetsOpened: () => undefined,
    nodeReported: () => undefined,
    report: () => undefined,
    signal: stop.signal,
  });
  onTestFinished(async () => {
    stop.abort();
    await caches.stopped;
    await client.close();
  });
  await caches.synced;

  expect(touched).toEqual([]);
  await createBudget(setting, 'start', { name: 'later' });
  await until(() => touched.includes('start/later'), true);
  expect(touched).not.toContain('start/there');
});

test('an API server that asks for less is asked for nothing until then, and for all of it afterwards', async () => {
  const proxy = await startProxy();
  const isWrite = /^PATCH .*\/namespaces\/busy\//;
  const names = Array.from({ length: 12 }, (_, index) => `b${index}`);
  await createNamespace(setting, 'busy');
  for (const name of names) await createBudget(setting, 'busy', { name });
  const writes = (): number => proxy.requests.filter((line) => isWrite.test(line)).length;
  const refusal = { status: 429, headers: { 'retry-after': '2' } };
  for (let worker = 0; worker < 4; worker += 1) proxy.answerNext(isWrite, refusal);

  runController(setting, { client: createKubeClient(proxy.config, { connections: 4 }) });
  await until(() => writes() >= 4, true, 20_000);
  const refusedAt = writes();
  await delay(1000);

  expect(writes()).toBe(refusedAt);
  const ready = (): Promise<readonly unknown[]> =>
    Promise.all(names.map((name) => conditionOf(setting, 'Ready', ['busy', name])));
  await until(
    ready,
    names.map(() => 'Ready True Ready'),
    20_000,
  );
});
