import { setTimeout as wait } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { budgets, type CustomObject } from '../../src/controller/resources.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { startFaultProxy } from '../kube/fault-proxy.ts';
import { shortTiming } from '../kube/short-timing.ts';
import { until } from '../kube/until.ts';
import {
  call,
  conditionOf,
  createBudget,
  createNamespace,
  runController,
  statusOf,
  useControllerSetting,
} from './controller-setting.ts';
import { leadersWrites, startBehindProxy } from './operator-behind-proxy.ts';
import { isLeading } from './operator-process.ts';

/** One writer, whatever becomes of the leader; what each sent is counted between it and the server. */

const setting = useControllerSetting();

const declared = async (namespace: string): Promise<number | undefined> =>
  (await statusOf(setting, namespace))?.plan?.declaredConnections;

async function declare(namespace: string, connections: number): Promise<void> {
  const target = { resource: budgets, namespace, name: 'gateway' };
  await setting.client.patch<CustomObject>(
    target,
    [{ op: 'replace', path: '/spec/inbound/0/connections', value: connections }],
    call,
  );
}

test('a leader that is cut off stops, the next one writes, and the first follows when it is back', async () => {
  const proxy = await startFaultProxy(setting.server.kubeconfig);
  onTestFinished(proxy.close);
  const metrics = createMetrics();
  const cutOff = runController(setting, { config: proxy.config, leaseTiming: shortTiming, metrics });
  await until(() => cutOff.isLeading(), true, 30_000);
  const next = runController(setting, { leaseTiming: shortTiming, identity: 'next' });
  const namespace = `cut-off-${Date.now()}`;
  await createNamespace(setting, namespace);
  await createBudget(setting, namespace);
  await until(() => conditionOf(setting, 'Ready', [namespace]), 'Ready True Ready');

  proxy.setDown(true);
  await until(() => next.isLeading(), true);
  expect(cutOff.isLeading()).toBe(false);
  expect(await metrics.text()).toContain('connectionbudget_leader_info 0');
  await declare(namespace, 30_000);
  await until(() => declared(namespace), 30_000);
  proxy.setDown(false);
  await wait(shortTiming.leaseDurationMs);

  expect([cutOff.isLeading(), next.isLeading()]).toEqual([false, true]);
}, 60_000);

test('a leader that is stopped, and continued when another leads, writes nothing more', async () => {
  const stopped = await startBehindProxy(setting.server, 'stopped');
  await until(() => isLeading(stopped), true, 30_000);
  const next = await startBehindProxy(setting.server, 'next');
  const namespace = `stopped-${Date.now()}`;
  await createNamespace(setting, namespace);
  await createBudget(setting, namespace);
  await until(() => declared(namespace), 20_000);

  stopped.child.kill('SIGSTOP');
  await declare(namespace, 30_000);
  // The Lease of the stopped one lasts 15 s; others look every 2 s.
  await until(() => declared(namespace), 30_000, 60_000);
  const before = leadersWrites(stopped);
  stopped.child.kill('SIGCONT');
  await declare(namespace, 40_000);
  await until(() => declared(namespace), 40_000);
  await until(() => isLeading(stopped), false);
  await wait(1000);

  expect(leadersWrites(stopped)).toBe(before);
  expect(await isLeading(next)).toBe(true);
  expect(stopped.log.filter(({ message }) => message === 'the leadership is in doubt')).not.toEqual([]);
}, 150_000);
