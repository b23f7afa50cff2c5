import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type Event, events } from '../../src/kube/resources.ts';
import { tooMany } from '../controller/situations.ts';
import { until } from '../kube/until.ts';
import { call, conditionOf, createBudget, createNamespace, useControllerSetting } from './controller-setting.ts';
import { isLeading, startOperator, startReadyOperator } from './operator-process.ts';

const setting = useControllerSetting();

/** Who wrote the Events of a namespace. */
async function writersIn(namespace: string): Promise<readonly string[]> {
  const { items } = await setting.client.list<Event>(events, { namespace }, call);
  return [...new Set(items.map(({ reportingInstance = '' }) => reportingInstance))];
}

test('of two operators one writes, and the other takes over when that is killed', async () => {
  const first = await startReadyOperator(setting.server.kubeconfig, 'first');
  await until(() => isLeading(first), true);
  const second = await startReadyOperator(setting.server.kubeconfig, 'second');
  await createNamespace(setting, 'before');
  await createBudget(setting, 'before', { spec: tooMany });
  await until(() => conditionOf(setting, 'Ready', ['before']), 'Ready False NotFeasible');

  expect(await isLeading(second)).toBe(false);
  await until(() => writersIn('before'), ['first']);

  first.child.kill('SIGKILL');
  const killedMs = performance.now();
  await createNamespace(setting, 'after');
  await createBudget(setting, 'after', { spec: tooMany });
  await until(() => conditionOf(setting, 'Ready', ['after']), 'Ready False NotFeasible', 30_000);

  // The Lease of the killed one lasts 15 s; others look every 2 s.
  expect(performance.now() - killedMs).toBeGreaterThan(10_000);
  // A status is stored before its Events.
  await until(() => writersIn('after'), ['second']);
  expect(await writersIn('before')).toEqual(['first']);
}, 90_000);

test('an operator that is told to stop gives the Lease back, and nothing is written twice', async () => {
  const first = await startReadyOperator(setting.server.kubeconfig, 'leaving');
  await until(() => isLeading(first), true, 30_000);
  const second = await startReadyOperator(setting.server.kubeconfig, 'staying');
  await createNamespace(setting, 'handover');
  await createBudget(setting, 'handover', { spec: tooMany });
  await until(() => writersIn('handover'), ['leaving']);

  first.child.kill('SIGTERM');
  const stoppedMs = performance.now();

  expect(await first.exited).toBe(0);
  await until(() => isLeading(second), true, 10_000);
  expect(performance.now() - stoppedMs).toBeLessThan(8_000);
  await delay(1000);
  expect(await writersIn('handover')).toEqual(['leaving']);
}, 90_000);

test('an operator that is told to stop is not ready any more, but serves until it has drained', async () => {
  const flags = ['--webhook-drain-seconds=2'];
  const operator = await startReadyOperator(setting.server.kubeconfig, 'draining', flags);

  operator.child.kill('SIGTERM');
  const stoppedMs = performance.now();
  await until(() => operator.get('/readyz'), { status: 503, body: 'stopping\n' }, 1_000);

  expect((await operator.get('/healthz')).status).toBe(200);
  expect(await operator.exited).toBe(0);
  expect(performance.now() - stoppedMs).toBeGreaterThan(1_900);
}, 60_000);

test('an operator that is told to stop before it could start ends all the same', async () => {
  const operator = startOperator(setting.server.kubeconfig, 'early');
  await until(() => operator.log.length > 0, true, 30_000);

  operator.child.kill('SIGTERM');

  expect(await operator.exited).toBe(0);
}, 60_000);

test('a flag that is wrong ends it with 2, and says which', async () => {
  const operator = startOperator(setting.server.kubeconfig, 'wrong', ['--webhook-port=seventy']);

  expect(await operator.exited).toBe(2);
});
