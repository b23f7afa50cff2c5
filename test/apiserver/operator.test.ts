import { readFile } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { type KubeObject, pods, type Resource } from '../../src/kube/resources.ts';
import { freePorts } from '../cluster/lab/ports.ts';
import { until } from '../kube/until.ts';
import {
  call,
  conditionOf,
  createBudget,
  createNamespace,
  createRunningPod,
  eventsIn,
  statusOf,
  useControllerSetting,
} from './controller-setting.ts';
import { startReadyOperator } from './operator-process.ts';
import { grantOperatorRights } from './operator-rights.ts';

const setting = useControllerSetting();
const podCount = 200;
/** From source it takes 209 MiB, as a bundle 141 MiB. */
const mostResidentMib = 300;

let kubeconfig = '';
let webhookPort = 0;

beforeAll(async () => {
  kubeconfig = await grantOperatorRights(setting.server, setting.client);
  [webhookPort = 0] = await freePorts(1, call.signal);
  const base = { admissionReviewVersions: ['v1'], sideEffects: 'None', timeoutSeconds: 2 };
  await configureWebhook('Mutating', {
    ...base,
    name: 'pods.connectionbudget.io',
    failurePolicy: 'Ignore',
    reinvocationPolicy: 'IfNeeded',
    clientConfig: { url: `https://127.0.0.1:${webhookPort}/mutate-pods` },
    namespaceSelector: { matchLabels: { 'connectionbudget.io/enabled': 'true' } },
    rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
  });
  await configureWebhook('Validating', {
    ...base,
    name: 'budgets.connectionbudget.io',
    failurePolicy: 'Fail',
    clientConfig: { url: `https://127.0.0.1:${webhookPort}/validate-budgets` },
    rules: [
      {
        apiGroups: ['connectionbudget.io'],
        apiVersions: ['v1alpha1'],
        operations: ['CREATE', 'UPDATE'],
        resources: ['connectionbudgets'],
      },
    ],
  });
});

async function configureWebhook(kind: 'Mutating' | 'Validating', webhook: object): Promise<void> {
  const resource: Resource<KubeObject> = {
    group: 'admissionregistration.k8s.io',
    version: 'v1',
    kind: `${kind}WebhookConfiguration`,
    plural: `${kind.toLowerCase()}webhookconfigurations`,
    namespaced: false,
  };
  const configuration = { metadata: { name: 'connectionbudget' }, webhooks: [webhook] };
  await setting.client.create(resource, configuration, call);
}

async function residentMib(pid: number | undefined): Promise<number> {
  const [, kib = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1024;
}

test('200 pods that the webhook patched are current for the controller, with no more rights than it needs', async () => {
  const flags = [`--webhook-port=${webhookPort}`, '--webhook-extra-host=127.0.0.1'];
  const operator = await startReadyOperator(kubeconfig, 'operator', flags);
  await createNamespace(setting, 'messaging');
  await createBudget(setting, 'messaging', {
    spec: { scale: undefined, outbound: [{ name: 'web', connections: 40_000, destination: toTheWeb }] },
  });
  await until(async () => (await statusOf(setting, 'messaging'))?.observedGeneration, 1);

  for (let index = 0; index < podCount; index += 1) {
    const metadata = { namespace: 'messaging', name: `gateway-${index}`, labels: { app: 'gateway' } };
    await createRunningPod(setting, { metadata });
  }

  await until(async () => (await statusOf(setting, 'messaging'))?.pods, {
    matched: podCount,
    applied: podCount,
    verified: 0,
  });
  expect(await conditionOf(setting, 'Ready', ['messaging'])).toBe('Ready False AgentAbsent');
  const pod = await setting.client.get({ resource: pods, namespace: 'messaging', name: 'gateway-199' }, call);
  expect(pod.spec?.securityContext?.sysctls?.map(({ name }) => name)).toContain('net.ipv4.ip_local_port_range');
  const told = await eventsIn(setting, 'messaging');
  expect(told.filter((event) => event.includes('Warning PodsOutdated'))).toEqual([]);
  const refused = operator.log.filter((line) => JSON.stringify(line).includes('Forbidden'));
  expect(refused).toEqual([]);
  expect(await residentMib(operator.child.pid)).toBeLessThan(mostResidentMib);
  operator.child.kill('SIGTERM');
  expect(await operator.exited).toBe(0);
}, 120_000);

const toTheWeb = { addresses: { ips: ['198.51.100.7'], ports: [443] } };
