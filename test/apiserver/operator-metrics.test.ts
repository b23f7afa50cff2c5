import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { operatorMetrics } from '../../deploy/metrics-reference.ts';
import { budgets } from '../../src/controller/resources.ts';
import type { KubeObject, Resource } from '../../src/kube/resources.ts';
import { until } from '../kube/until.ts';
import { logFaults } from '../observability/log-faults.ts';
import { call, createBudget, createNamespace, statusOf, useControllerSetting } from './controller-setting.ts';
import { type OperatorProcess, startOperator } from './operator-process.ts';
import { grantOperatorRights } from './operator-rights.ts';

const setting = useControllerSetting();
let kubeconfig = '';

beforeAll(async () => {
  kubeconfig = await grantOperatorRights(setting.server, setting.client);
});

const bindings: Resource<KubeObject> = {
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  kind: 'ClusterRoleBinding',
  plural: 'clusterrolebindings',
  namespaced: false,
};
const binding = { resource: bindings, name: 'connectionbudget-operator' };

/** The sum over all series of a name whose labels have all of these texts in them. */
const sumOf = async ({ get }: OperatorProcess, name: string, ...having: readonly string[]): Promise<number> =>
  [...(await get('/metrics')).body.matchAll(new RegExp(`^${name}(\\{.*\\})? (\\S+)$`, 'gm'))]
    .filter(([, labels = '']) => having.every((text) => labels.includes(text)))
    .reduce((sum, [, , value]) => sum + Number(value), 0);

const rises = (operator: OperatorProcess, name: string, ...having: readonly string[]): Promise<void> =>
  until(async () => (await sumOf(operator, name, ...having)) > 0, true, 30_000);

/** Its webhook has no configuration here, which its upkeep says again and again. */
const isServing = ({ get }: OperatorProcess): Promise<void> =>
  until(async () => (await get('/readyz')).status, 200, 30_000);

test('the operator exports what its reference says, and its watches are heard', async () => {
  const operator = startOperator(kubeconfig, 'reference');
  await isServing(operator);
  const { body } = await operator.get('/metrics');
  const exported = [...body.matchAll(/^# TYPE (connectionbudget_\w+) (\w+)$/gm)].map(
    ([, name, kind]) => `${name} ${kind}`,
  );
  expect(exported.toSorted()).toEqual(
    operatorMetrics()
      .map(({ name, kind }) => `${name} ${kind}`)
      .toSorted(),
  );
  expect(await sumOf(operator, 'connectionbudget_watch_lists_total')).toBe(7);
  expect(await sumOf(operator, 'connectionbudget_watch_cache_objects', 'namespaces')).toBeGreaterThan(3);
  expect(await sumOf(operator, 'connectionbudget_watch_silence_seconds', 'pods')).toBeLessThan(60);
  const nowSeconds = Date.now() / 1000;
  const expiry = await sumOf(operator, 'connectionbudget_webhook_certificate_expiry_timestamp_seconds');
  expect(expiry).toBeGreaterThan(nowSeconds + 86_400);
  const created = await sumOf(operator, 'connectionbudget_webhook_signing_key_created_timestamp_seconds');
  expect(Math.abs(created - nowSeconds)).toBeLessThan(300);
  await rises(operator, 'connectionbudget_webhook_upkeep_failures_total', 'CaBundle');
  expect(logFaults(operator.log)).toEqual([]);
}, 60_000);

test('rights that were taken away are seen in gates, metrics and logs, and so is their return', async () => {
  await createNamespace(setting, 'forbidden');
  const leader = startOperator(kubeconfig, 'leader');
  await isServing(leader);
  await rises(leader, 'connectionbudget_leader_info');
  const granted = await setting.client.get(binding, call);
  await setting.client.delete(binding, call);
  const late = startOperator(kubeconfig, 'late');
  await until(
    async () => (await late.get('/readyz')).body.split('\n').includes('pods are not listed yet'),
    true,
    30_000,
  );
  await createBudget(setting, 'forbidden');

  await rises(leader, 'connectionbudget_api_requests_total', 'PATCH', 'Forbidden');
  await rises(leader, 'connectionbudget_reconcile_failures_total', 'Forbidden');
  await rises(leader, 'connectionbudget_queue_retrying_budgets');
  await rises(late, 'connectionbudget_watch_interruptions_total', 'pods', 'Forbidden');
  expect(await sumOf(late, 'connectionbudget_readiness_gate_status', 'pods')).toBe(0);
  expect(await sumOf(late, 'connectionbudget_readiness_gate_status', 'webhook')).toBe(0);
  expect((await late.get('/healthz')).status).toBe(200);

  const { metadata, ...roles } = granted;
  await setting.client.create(bindings, { ...roles, metadata: { name: metadata?.name ?? '' } }, call);
  await until(async () => (await statusOf(setting, 'forbidden'))?.observedGeneration, 1, 30_000);
  await until(() => sumOf(leader, 'connectionbudget_queue_retrying_budgets'), 0);
  await isServing(late);

  const ofReconcile = leader.log.filter(({ message }) => /reconciliation|status was written/.test(message));
  expect(ofReconcile.map((line) => typeof Reflect.get(line, 'reconcileID'))).toEqual(ofReconcile.map(() => 'string'));
  expect(ofReconcile.map(({ message }) => message)).toEqual(
    expect.arrayContaining(['the reconciliation failed and is tried again', 'the status was written']),
  );
  const { token } = (JSON.parse(await readFile(kubeconfig, 'utf8')) as Kubeconfig).users[0]!.user;
  const text = JSON.stringify([...leader.log, ...late.log]);
  expect([text.includes(token), text.includes('PRIVATE KEY')]).toEqual([false, false]);
  expect(logFaults([...leader.log, ...late.log])).toEqual([]);
}, 120_000);

interface Kubeconfig {
  readonly users: readonly { readonly user: { readonly token: string } }[];
}

test('a deleted budget takes its series with it', async () => {
  const operator = startOperator(kubeconfig, 'deleting');
  await createNamespace(setting, 'gone');
  await createBudget(setting, 'gone');
  const planned = (): Promise<number> =>
    sumOf(operator, 'connectionbudget_budget_planned_connections', 'namespace="gone"', 'budget="gateway"');
  await until(planned, 22_000, 30_000);
  await setting.client.delete({ resource: budgets, namespace: 'gone', name: 'gateway' }, call);
  await until(planned, 0);
}, 60_000);

test('an operator that finds no API server says so, lives, and ends when it is told to', async () => {
  const nowhere = join(setting.server.dir, 'nowhere.kubeconfig');
  const text = await readFile(kubeconfig, 'utf8');
  await writeFile(nowhere, text.replace(setting.server.url, 'https://127.0.0.1:1'), { mode: 0o600 });
  const operator = startOperator(nowhere, 'lonely');
  await rises(operator, 'connectionbudget_api_requests_total', 'Stream', 'Network');
  await rises(operator, 'connectionbudget_lease_failures_total', 'Network');
  expect((await operator.get('/healthz')).status).toBe(200);
  operator.child.kill('SIGTERM');
  expect(await operator.exited).toBe(0);
}, 60_000);
