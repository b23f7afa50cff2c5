import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createKubeClient } from '../../src/kube/client.ts';
import { pods } from '../../src/kube/resources.ts';
import { freePorts } from '../cluster/lab/ports.ts';
import { until } from '../kube/until.ts';
import { type Balancer, startBalancer } from './balancer.ts';
import {
  call,
  conditionOf,
  createBudget,
  createNamespace,
  createRunningPod,
  eventsIn,
  useControllerSetting,
} from './controller-setting.ts';
import { type OperatorProcess, startReadyOperator } from './operator-process.ts';
import { budgetsConfiguration, mutating, podsConfiguration, validating } from './webhook-registration.ts';
import { createPod, isAskedAbout, planOf } from './webhook-setting.ts';

/** Operators in processes of their own behind something like a Service: stopped, killed, and fed with nonsense. */

const setting = useControllerSetting();
const labels = { app: 'gateway' };

let balancer: Balancer;

beforeAll(async () => {
  balancer = await startBalancer();
  await setting.client.create(mutating, podsConfiguration(balancer.port), call);
  await setting.client.create(validating, budgetsConfiguration(balancer.port), call);
});
afterAll(() => balancer.close());

interface Replica extends OperatorProcess {
  readonly port: number;
}

/** Its endpoint is gone as soon as its process is. */
async function startReplica(identity: string): Promise<Replica> {
  const [port = 0] = await freePorts(1, call.signal);
  const flags = [`--webhook-port=${port}`, '--webhook-extra-host=127.0.0.1'];
  const operator = await startReadyOperator(setting.server.kubeconfig, identity, flags);
  balancer.ready.add(port);
  void operator.exited.then(() => balancer.ready.delete(port));
  return { ...operator, port };
}

const isPlanned = async (namespace: string): Promise<boolean> =>
  planOf(await createPod(setting, { namespace, name: 'asked', dryRun: true })) !== undefined;

async function withBudget(namespace: string): Promise<void> {
  await createNamespace(setting, namespace);
  await until(() => isAskedAbout(setting, namespace), true);
  await createBudget(setting, namespace);
  await until(() => isPlanned(namespace), true);
}

test('a webhook that hangs delays a pod by its timeout; the pod is admitted, found, shown and can be replaced', async () => {
  const operator = await startReplica('hanging');
  const namespace = `hanging-${Date.now()}`;
  await withBudget(namespace);

  operator.child.kill('SIGSTOP');
  const stoppedMs = performance.now();
  const slipped = await createPod(setting, { namespace, name: 'slipped' });
  const tookMs = performance.now() - stoppedMs;
  const refused = createBudget(setting, namespace, { name: 'other' });
  await expect(refused).rejects.toThrow('failed calling webhook "budgets.connectionbudget.io"');
  operator.child.kill('SIGCONT');

  expect(planOf(slipped)).toBeUndefined();
  expect(tookMs).toBeLessThan(3000);
  const target = { resource: pods, namespace, name: 'slipped' } as const;
  await setting.client.patch({ ...target, subresource: 'status' }, { status: { phase: 'Running' } }, call);
  await until(() => conditionOf(setting, 'Applied', [namespace]), 'Applied False PodsOutdated');
  await until(async () => (await eventsIn(setting, namespace)).includes('Warning PodsOutdated gateway'), true);
  await setting.client.delete(target, { ...call, gracePeriodSeconds: 0 });
  await createRunningPod(setting, { metadata: { namespace, name: 'slipped', labels } });
  await until(() => conditionOf(setting, 'Applied', [namespace]), 'Applied True AllPodsCurrent');
}, 60_000);

const perSecond = 50;

/** A loaded machine gets no more at once, so that what it is late with is not what fails. */
const mostUnderWay = 10;

/** Starts a creation every 20 ms; what is under way now is told by `underWay`. */
function createPods(namespace: string) {
  const client = createKubeClient(setting.config, { connections: mostUnderWay });
  const ending = new AbortController();
  onTestFinished(async () => {
    ending.abort();
    await client.close();
  });
  const results: string[] = [];
  const underWay = new Set<Promise<void>>();
  const create = async (name: string): Promise<void> => {
    const pod = createPod({ ...setting, client }, { namespace, name });
    results.push(await pod.then((stored) => (planOf(stored) === undefined ? 'unplanned' : 'planned'), String));
  };
  const ended = (async () => {
    for (let at = 0; !ending.signal.aborted; at += 1) {
      const created = create(`pod-${at}`).finally(() => underWay.delete(created));
      underWay.add(created);
      await wait(1000 / perSecond);
      if (underWay.size === mostUnderWay) await Promise.race(underWay);
    }
    await Promise.all(underWay);
  })();
  const end = async (): Promise<readonly string[]> => {
    ending.abort();
    await ended;
    return results;
  };
  return { underWay: () => underWay.size, end };
}

test('of two replicas one is killed under load: no creation fails, and only calls in flight have no plan', async () => {
  const [killed] = await Promise.all([startReplica('killed'), startReplica('stays')]);
  const namespace = `killed-${Date.now()}`;
  await withBudget(namespace);
  const load = createPods(namespace);
  await wait(1000);

  const inFlight = load.underWay();
  killed.child.kill('SIGKILL');
  await wait(2000);
  const results = await load.end();

  expect(results.filter((result) => result === 'planned').length).toBeGreaterThan(2 * mostUnderWay);
  // One more may have been begun before the endpoint was gone.
  const others = results.filter((result) => result !== 'planned');
  expect(others.filter((result) => result !== 'unplanned')).toEqual([]);
  expect(others.length).toBeLessThanOrEqual(inFlight + 1);
}, 120_000);

/** The status of the answer; "reset" where the server would not read on. */
async function post(port: number, path: string, body: string | Buffer): Promise<number | 'reset'> {
  const asked = request({ host: '127.0.0.1', port, path, method: 'POST', agent: false, rejectUnauthorized: false });
  asked.end(body);
  try {
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    response.resume();
    return response.statusCode ?? 0;
  } catch {
    return 'reset';
  }
}

const review = (object: string): string =>
  `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE","namespace":"fed","object":${object}}}`;
const pod = (metadata: string): string => review(`{"metadata":${metadata},"spec":{"containers":[{"name":"a"}]}}`);
const deep = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
const many = (count: number, entry: (at: number) => string): string =>
  Array.from({ length: count }, (_, at) => entry(at)).join();
const long = 'x'.repeat(7 * 1024 * 1024);
const inbound = many(10_000, (at) => `{"name":"${'n'.repeat(500)}${at}","port":${at},"connections":1}`);
const budget = (spec: string): string =>
  review(
    `{"apiVersion":"connectionbudget.io/v1alpha1","kind":"ConnectionBudget","metadata":{"name":"a"},"spec":${spec}}`,
  );

const hostile: readonly (readonly [string, string | Buffer, readonly unknown[]])[] = [
  ['bytes', Buffer.alloc(1024, 0xff), [400]],
  ['17 MiB', Buffer.alloc(17 * 1024 * 1024, 0x20), [413, 'reset']],
  ['a million open brackets', '['.repeat(1_000_000), [400]],
  ['an object a million deep', review(deep(1_000_000)), [200, 400, 500]],
  ['a label of 7 MiB', pod(`{"labels":{"app":"gateway","long":"${long}"}}`), [200]],
  ['a plan of 7 MiB', pod(`{"labels":{"app":"gateway"},"annotations":{"connectionbudget.io/plan":"${long}"}}`), [200]],
  ['100,000 labels', pod(`{"labels":{"app":"gateway",${many(100_000, (at) => `"l${at}":"v"`)}}}`), [200]],
  ['labels that are none', pod('{"labels":7}'), [200]],
  ['a prototype', pod('{"labels":{"__proto__":{"app":"gateway"},"constructor":"x"}}'), [200]],
  ['lone surrogates', pod('{"labels":{"app":"gateway"},"name":"\\ud800"}'), [200]],
  ['10,000 flows', budget(`{"selector":{"matchLabels":{"a":"b"}},"inbound":[${inbound}]}`), [200]],
  ['a selector a hundred thousand deep', budget(`{"selector":${deep(100_000)}}`), [200, 500]],
  ['a spec of many unknown fields', budget(`{${many(100_000, (at) => `"f${at}":1`)}}`), [200]],
];

test('while the webhook is fed with nonsense, it answers each, and every pod gets its plan', async () => {
  const { port, get } = await startReplica('fed');
  const namespace = `fed-${Date.now()}`;
  await withBudget(namespace);
  const load = createPods(namespace);
  const answers: string[] = [];
  for (const [name, body, expected] of hostile) {
    for (const path of ['/mutate-pods', '/validate-budgets']) {
      const status = await post(port, path, typeof body === 'string' ? body.replace('"fed"', `"${namespace}"`) : body);
      // Either path is for the one kind: what the other makes of it is only not to be a crash.
      answers.push(...(expected.includes(status) || status === 200 ? [] : [`${path} ${name}: ${status}`]));
      await wait(100);
    }
  }
  const results = await load.end();

  expect(answers).toEqual([]);
  expect(results.filter((result) => result !== 'planned')).toEqual([]);
  expect((await get('/healthz')).status).toBe(200);
  const metrics = (await get('/metrics')).body;
  for (const result of ['Malformed', 'TooLarge']) expect(metrics).toMatch(new RegExp(`result="${result}"} [1-9]`));
}, 120_000);
