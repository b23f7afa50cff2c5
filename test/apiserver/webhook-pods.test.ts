import { createPublicKey, verify } from 'node:crypto';
import { expect, test } from 'vitest';
import { decodeAnnotation, signedBytes } from '../../src/api/pod-annotation.ts';
import { budgets, type CustomObject } from '../../src/controller/resources.ts';
import { until } from '../kube/until.ts';
import { outboundBudget } from '../webhook/budgets.ts';
import { call, enabled } from './controller-setting.ts';
import {
  createPod,
  planOf,
  podExists,
  publicKeys,
  seenBudgets,
  useWebhookSetting,
  withBudgets,
} from './webhook-setting.ts';

const setting = useWebhookSetting();

const sysctls = [
  { name: 'net.ipv4.ip_local_port_range', value: '10240 65535' },
  { name: 'net.ipv4.ip_local_reserved_ports', value: '11883' },
];

test('a pod in a labelled namespace has the sysctls and a plan that verifies with the published key', async () => {
  await withBudgets(setting, 'labelled');

  const pod = await createPod(setting, { namespace: 'labelled', name: 'a' });
  const decoded = decodeAnnotation(planOf(pod) ?? '');

  expect(pod.spec?.securityContext?.sysctls).toEqual(sysctls);
  expect(decoded).toMatchObject({
    section: { budget: { name: 'gateway', generation: 1 }, containers: [{ name: 'program', soft: 50_664 }] },
  });
  const { section, signature } = decoded as Exclude<typeof decoded, { fault: unknown }>;
  const spki = Buffer.from((await publicKeys(setting))?.[section.keyId] ?? '', 'base64');
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  expect(verify(null, signedBytes(section, 'labelled'), key, signature)).toBe(true);
});

test('a dry run shows the same pod and writes none', async () => {
  await withBudgets(setting, 'dry');

  const shown = await createPod(setting, { namespace: 'dry', name: 'a', dryRun: true });

  expect(await podExists(setting, 'dry', 'a')).toBe(false);
  const real = await createPod(setting, { namespace: 'dry', name: 'a' });
  expect(planOf(shown)).toBe(planOf(real));
  expect(planOf(shown)).toBeDefined();
});

test('a pod in a namespace without the label, and one that no budget selects, stay as they are', async () => {
  await withBudgets(setting, 'unlabelled', { labels: {} });
  await withBudgets(setting, 'unselected');

  const elsewhere = await createPod(setting, { namespace: 'unlabelled', name: 'a' });
  const other = await createPod(setting, { namespace: 'unselected', name: 'a', labels: { app: 'other' } });

  expect([planOf(elsewhere), planOf(other)]).toEqual([undefined, undefined]);
  expect([elsewhere.spec?.securityContext, other.spec?.securityContext]).toEqual([{}, {}]);
});

test('of two budgets for one pod the older is applied', async () => {
  await withBudgets(setting, 'conflict', { budgetNames: ['z-older'] });
  // Ages count in whole seconds.
  await new Promise((resolve) => setTimeout(resolve, 1100));
  const younger = outboundBudget() as CustomObject;
  await setting.client.create(budgets, { ...younger, metadata: { namespace: 'conflict', name: 'a-younger' } }, call);
  await until(() => seenBudgets(setting, 'conflict'), 2);

  const pod = await createPod(setting, { namespace: 'conflict', name: 'a' });

  expect(decodeAnnotation(planOf(pod) ?? '')).toHaveProperty('section.budget.name', 'z-older');
});

const restrictedSpec = {
  securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
  containers: [
    {
      name: 'program',
      image: 'none',
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    },
  ],
};

test.each([
  ['restricted', 'latest', sysctls.map(({ name }) => name)],
  ['restricted', 'v1.27', sysctls.map(({ name }) => name)],
  ['restricted', 'v1.26', ['net.ipv4.ip_local_port_range']],
  ['baseline', 'v1.25', ['net.ipv4.ip_local_port_range']],
])('Pod Security %s of %s admits the patched pod, with %j', async (level, version, names) => {
  const namespace = `security-${level}-${version.replace('.', '-')}`;
  const prefix = 'pod-security.kubernetes.io/enforce';
  await withBudgets(setting, namespace, { labels: { ...enabled, [prefix]: level, [`${prefix}-version`]: version } });

  const pod = await createPod(setting, { namespace, name: 'a', spec: restrictedSpec });

  expect(pod.spec?.securityContext?.sysctls?.map(({ name }) => name)).toEqual(names);
  expect(pod.spec?.securityContext).toMatchObject({ runAsUser: 1000 });
});

test('a pod of the host’s network gets limits and no sysctls', async () => {
  await withBudgets(setting, 'host');

  const pod = await createPod(setting, { namespace: 'host', name: 'a', spec: { hostNetwork: true } });

  expect(pod.spec?.securityContext).toEqual({});
  expect(decodeAnnotation(planOf(pod) ?? '')).toHaveProperty('section.containers.0.hard', 50_664);
});

test('when the webhook is gone, pods start as Kubernetes would start them', async () => {
  await withBudgets(setting, 'gone');
  await setting.stopWebhook();

  const pod = await createPod(setting, { namespace: 'gone', name: 'a' });

  expect(planOf(pod)).toBeUndefined();
});
