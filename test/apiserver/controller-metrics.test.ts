import { expect, test } from 'vitest';
import { budgets, type CustomObject } from '../../src/controller/resources.ts';
import { objectDigest } from '../../src/kube/object-digest.ts';
import { namespaces } from '../../src/kube/resources.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { until } from '../kube/until.ts';
import {
  call,
  createBudget,
  createNamespace,
  runController,
  statusOf,
  useControllerSetting,
} from './controller-setting.ts';

const setting = useControllerSetting();

test('budgets are counted by whoever leads, and by nobody who did', async () => {
  const metrics = createMetrics();
  const controller = runController(setting, { metrics });
  await createNamespace(setting, 'counted');
  await createBudget(setting, 'counted');
  const counted = async (): Promise<readonly string[]> =>
    (await metrics.text())
      .split('\n')
      .filter((line) => /^connectionbudget_(budgets|queue|leader_info).* [^0]/.test(line));
  await until(async () => (await counted()).some((line) => line.includes('{ready="True"}')), true);

  await controller.stop();

  expect(await counted()).toEqual([]);
});

test('a budget whose status cannot be written is counted too', async () => {
  await createNamespace(setting, 'refused');
  await createBudget(setting, 'refused');
  await refuseStatusesIn('refused');
  const metrics = createMetrics();
  runController(setting, { metrics });
  const failures = async (): Promise<boolean> => /reconcile_failures_total\{.*\} [^0]/.test(await metrics.text());
  await until(failures, true);
  const counted = async (): Promise<number> =>
    [...(await metrics.text()).matchAll(/^connectionbudget_budgets\{.*\} (\d+)$/gm)]
      .map(([, count]) => Number(count))
      .reduce((sum, count) => sum + count, 0);

  await until(counted, (await setting.client.list(budgets, {}, call)).items.length);
  expect((await statusOf(setting, 'refused'))?.conditions).toEqual([]);
});

test('what a replica holds can be compared with the server', async () => {
  const metrics = createMetrics();
  runController(setting, { metrics });
  await createNamespace(setting, 'compared');
  const held = async (): Promise<readonly string[]> =>
    (await metrics.text()).split('\n').filter((line) => /^connectionbudget_watch_cache_.*"namespaces"/.test(line));
  const listed = async (): Promise<readonly string[]> => {
    const { items } = await setting.client.list(namespaces, {}, call);
    const digest = items.reduce(
      (sum, { metadata }) => (sum ^ objectDigest(metadata?.uid ?? '', metadata?.resourceVersion ?? '')) >>> 0,
      0,
    );
    const series = '{resource="namespaces"}';
    return [
      `connectionbudget_watch_cache_objects${series} ${items.length}`,
      `connectionbudget_watch_cache_digest${series} ${digest}`,
    ];
  };
  await until(held, await listed());
});

const admission = { group: 'admissionregistration.k8s.io', version: 'v1', namespaced: false } as const;
const policies = { ...admission, kind: 'ValidatingAdmissionPolicy', plural: 'validatingadmissionpolicies' };
const policyBindings = {
  ...admission,
  kind: 'ValidatingAdmissionPolicyBinding',
  plural: 'validatingadmissionpolicybindings',
};

async function refuseStatusesIn(namespace: string): Promise<void> {
  const rule = { apiGroups: ['connectionbudget.io'], apiVersions: ['*'], operations: ['UPDATE'] };
  const matchConstraints = { resourceRules: [{ ...rule, resources: ['connectionbudgets/status'] }] };
  const spec = { matchConstraints, validations: [{ expression: 'false' }] };
  const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': namespace } };
  const binding = { policyName: namespace, validationActions: ['Deny'], matchResources: { namespaceSelector } };
  const metadata = { name: namespace };
  await setting.client.create<CustomObject>(policies, { metadata, spec }, call);
  await setting.client.create<CustomObject>(policyBindings, { metadata, spec: binding }, call);
  const target = { resource: budgets, namespace, name: 'gateway', subresource: 'status' } as const;
  const isRefused = (): Promise<boolean> =>
    setting.client.patch(target, { status: { message: '' } }, call).then(
      () => false,
      () => true,
    );
  await until(isRefused, true, 20_000);
}
