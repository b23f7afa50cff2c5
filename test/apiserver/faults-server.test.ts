import { setTimeout as wait } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { budgets, type CustomObject } from '../../src/controller/resources.ts';
import { namespaces, pods } from '../../src/kube/resources.ts';
import { findDaemon, restartDaemon } from '../cluster/lab/process.ts';
import { until } from '../kube/until.ts';
import {
  call,
  createBudget,
  createNamespace,
  createRunningPod,
  statusOf,
  useControllerSetting,
} from './controller-setting.ts';
import { type ProxiedOperator, startBehindProxy } from './operator-behind-proxy.ts';
import { isLeading } from './operator-process.ts';

/** The API server dies, and its etcd stands still, under several operators. */

const setting = useControllerSetting();

async function startOperators(count: number): Promise<readonly ProxiedOperator[]> {
  const identities = Array.from({ length: count }, (_, at) => `operator-${at}`);
  const operators = await Promise.all(identities.map((identity) => startBehindProxy(setting.server, identity)));
  const ready = async () => Promise.all(operators.map(async ({ get }) => (await get('/readyz')).status));
  await until(
    ready,
    operators.map(() => 200),
    40_000,
  );
  await until(async () => (await leadersAmong(operators)) === 1, true, 30_000);
  return operators;
}

async function leadersAmong(operators: readonly ProxiedOperator[]): Promise<number> {
  return (await Promise.all(operators.map(isLeading))).filter(Boolean).length;
}

/** Gives the Lease back, so that the next test need not wait for it. */
async function stopAll(operators: readonly ProxiedOperator[]): Promise<readonly (number | null)[]> {
  return Promise.all(
    operators.map(async ({ child, exited }) => {
      child.kill('SIGTERM');
      return exited;
    }),
  );
}

const addPod = (namespace: string, name: string) =>
  createRunningPod(setting, { metadata: { namespace, name, labels: { app: 'gateway' } } });
const matchedIn = async (namespace: string) => (await statusOf(setting, namespace))?.pods?.matched;

const answers = () =>
  setting.client.list(namespaces, {}, call).then(
    () => true,
    () => false,
  );

/** How often the kind was asked for that was asked for most; one that this cluster has not is asked for again and again. */
function mostOfAKind(lines: readonly string[], pattern: RegExp): number {
  const counts = new Map<string, number>();
  for (const line of lines.filter((one) => pattern.test(one))) {
    const kind = /\/([a-z-]+)\?/.exec(line)?.[1] ?? '';
    if (kind !== 'network-attachment-definitions') counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return Math.max(0, ...counts.values());
}

test('after the API server was killed, three operators know all again, with one list of each kind at most', async () => {
  const operators = await startOperators(3);
  const places = [0, 1, 2].map((at) => `killed-${at}-${Date.now()}`);
  for (const place of places) {
    await createNamespace(setting, place);
    await createBudget(setting, place);
    await addPod(place, 'goes');
  }
  for (const place of places) await until(() => matchedIn(place), 1);
  const sent = operators.map(({ proxy }) => proxy.requests.length);

  const { pid } = findDaemon(setting.server.dir, 'kube-apiserver')!;
  process.kill(pid, 'SIGKILL');
  await wait(5000);
  const whileDown = operators.map(({ proxy }, at) => proxy.requests.slice(sent[at]));
  await restartDaemon(setting.server.dir, 'kube-apiserver');
  await until(answers, true, 30_000);
  for (const place of places) {
    await setting.client.delete({ resource: pods, namespace: place, name: 'goes' }, { ...call, gracePeriodSeconds: 0 });
    await addPod(place, 'comes');
    await addPod(place, 'comes-too');
  }

  for (const place of places) await until(() => matchedIn(place), 2, 60_000);
  await until(() => leadersAmong(operators), 1, 30_000);
  // Pauses of 0.5 to 1 s, 1 to 2 s and 2 to 4 s: four tries of a kind in 5 s.
  for (const lines of whileDown) expect(mostOfAKind(lines, /watch=true/)).toBeLessThanOrEqual(4);
  for (const [at, { proxy }] of operators.entries()) {
    expect(mostOfAKind(proxy.requests.slice(sent[at]), /sendInitialEvents=true|limit=500/)).toBeLessThanOrEqual(1);
  }
  expect(await stopAll(operators)).toEqual([0, 0, 0]);
}, 120_000);

test('while etcd stands still for 20 s nobody falls over or leads twice, and then all goes on', async () => {
  const operators = await startOperators(2);
  const namespace = `still-${Date.now()}`;
  await createNamespace(setting, namespace);
  await createBudget(setting, namespace);
  await until(async () => (await statusOf(setting, namespace))?.observedGeneration, 1);
  const { pid } = findDaemon(setting.server.dir, 'etcd')!;
  onTestFinished(() => void process.kill(pid, 'SIGCONT'));

  process.kill(pid, 'SIGSTOP');
  const leaders: number[] = [];
  const endMs = performance.now() + 20_000;
  while (performance.now() < endMs) {
    leaders.push(await leadersAmong(operators));
    await wait(200);
  }
  const healthy = await Promise.all(operators.map(async ({ get }) => (await get('/healthz')).status));
  process.kill(pid, 'SIGCONT');

  expect(Math.max(...leaders)).toBe(1);
  // Nobody may lead without a renewal for 10 s.
  expect(leaders.at(-1)).toBe(0);
  expect(healthy).toEqual([200, 200]);
  const change = [{ op: 'replace', path: '/spec/inbound/0/connections', value: 30_000 }] as const;
  const target = { resource: budgets, namespace, name: 'gateway' };
  await until(() => setting.client.patch<CustomObject>(target, change, call).then(() => true), true, 30_000);
  await until(async () => (await statusOf(setting, namespace))?.plan?.declaredConnections, 30_000, 60_000);
  expect(await stopAll(operators)).toEqual([0, 0]);
}, 120_000);
