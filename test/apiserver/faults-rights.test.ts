import { once } from 'node:events';
import { connect } from 'node:tls';
import { setTimeout as wait } from 'node:timers/promises';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { createKubeClient } from '../../src/kube/client.ts';
import { readKubeConfig } from '../../src/kube/kube-config.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { freePorts } from '../cluster/lab/ports.ts';
import { until } from '../kube/until.ts';
import {
  call,
  createBudget,
  createNamespace,
  createRunningPod,
  eventsIn,
  runController,
  statusOf,
  useControllerSetting,
} from './controller-setting.ts';
import { isLeading, type OperatorProcess, startOperator, startReadyOperator } from './operator-process.ts';
import { grantOperatorRights, issueToken, revokeTokens, withdraw } from './operator-rights.ts';
import { budgetsConfiguration, mutating, podsConfiguration, validating } from './webhook-registration.ts';
import { startReplica } from './webhook-setting.ts';

/** An operator whose rights and tokens are taken away and given back. */

const setting = useControllerSetting();

let kubeconfig = '';
let port = 0;

beforeAll(async () => {
  kubeconfig = await grantOperatorRights(setting.server, setting.client);
  [port = 0] = await freePorts(1, call.signal);
  await setting.client.create(mutating, podsConfiguration(port), call);
  await setting.client.create(validating, { ...budgetsConfiguration(port), webhooks: [] }, call);
});

const hasMetric = async ({ get }: OperatorProcess, pattern: RegExp): Promise<boolean> =>
  pattern.test((await get('/metrics')).body);
const hasLogged = ({ log }: OperatorProcess, message: string): boolean => log.some((line) => line.message === message);
const hasStatus = async (namespace: string) => (await statusOf(setting, namespace))?.observedGeneration === 1;

/** Something to tell: a pod that runs without a plan. */
async function createOutdated(namespace: string): Promise<void> {
  await createNamespace(setting, namespace);
  await createRunningPod(setting, { metadata: { namespace, name: 'slipped', labels: { app: 'gateway' } } });
}

test('what may not be listed or kept secret is said while it waits, and it is ready when it may', async () => {
  const giveBack = await withdraw(setting.client, 'pods', 'secrets');
  const operator = startOperator(kubeconfig, 'starting');
  await until(async () => (await operator.get('/readyz')).body.includes('pods are not listed yet'), true, 30_000);
  await until(() => hasMetric(operator, /watch_interruptions_total\{resource="pods",kind="Forbidden"\} [1-9]/), true);
  await giveBack();
  const giveSecretsBack = await withdraw(setting.client, 'secrets');
  await until(() => operator.get('/readyz'), { status: 503, body: 'the webhook does not serve yet\n' }, 30_000);
  await until(() => hasLogged(operator, 'the webhook cannot start yet'), true);

  await giveSecretsBack();

  await until(async () => (await operator.get('/readyz')).status, 200, 30_000);
  operator.child.kill('SIGTERM');
  expect(await operator.exited).toBe(0);
}, 90_000);

test('without the rights to statuses, Events, the Lease, and at last without a token it says so, and then goes on', async () => {
  const operator = await startReadyOperator(kubeconfig, 'working');
  await until(() => isLeading(operator), true, 30_000);
  const namespace = `rights-${Date.now()}`;
  await createOutdated(namespace);

  const giveStatusBack = await withdraw(setting.client, 'connectionbudgets/status', 'events');
  await createBudget(setting, namespace);
  await until(() => hasMetric(operator, /reconcile_failures_total\{kind="Forbidden"\} ([2-9]|\d\d)/), true);
  expect(hasLogged(operator, 'the reconciliation failed and is tried again')).toBe(true);
  await giveStatusBack();
  const giveEventsBack = await withdraw(setting.client, 'events');
  await until(() => hasStatus(namespace), true, 30_000);
  await until(() => hasMetric(operator, /event_failures_total\{kind="Forbidden"\} [1-9]/), true);
  await giveEventsBack();

  const giveLeaseBack = await withdraw(setting.client, 'leases');
  await until(() => isLeading(operator), false, 20_000);
  expect(hasLogged(operator, 'the leadership is in doubt')).toBe(true);
  await giveLeaseBack();
  await until(() => isLeading(operator), true, 20_000);

  await revokeTokens(setting.server, setting.client);
  // The API server remembers a good token for 10 s, and the Lease lasts for another 10.
  await until(() => isLeading(operator), false, 40_000);
  expect((await operator.get('/healthz')).status).toBe(200);
  await issueToken(setting.server, setting.client);
  await until(() => isLeading(operator), true, 40_000);
  const later = `token-${Date.now()}`;
  await createOutdated(later);
  await createBudget(setting, later);
  await until(() => hasStatus(later), true);
  await until(async () => (await eventsIn(setting, later)).length > 0, true);
  operator.child.kill('SIGTERM');
  expect(await operator.exited).toBe(0);
}, 180_000);

/** Years in seconds: a certificate lasts 4 s and is renewed after 1.5 s. */
const certificatePolicy = {
  authorityValidMs: 3_600_000,
  authorityRenewMs: 1_800_000,
  serverValidMs: 4_000,
  serverRenewMs: 1_500,
  overlapMs: 200,
};

/** What a new connection that trusts the caBundle is told. */
async function handshake(): Promise<string> {
  const { webhooks } = await setting.client.get({ resource: mutating, name: 'connectionbudget' }, call);
  const ca = Buffer.from(webhooks[0]?.clientConfig.caBundle ?? '', 'base64');
  const socket = connect({ host: '127.0.0.1', port, ca });
  try {
    await once(socket, 'secureConnect');
    return 'trusted';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  } finally {
    socket.destroy();
  }
}

test('a certificate never expires while it can be renewed; where it cannot, that shows before it expires', async () => {
  const client = createKubeClient(readKubeConfig(kubeconfig));
  onTestFinished(client.close);
  const metrics = createMetrics();
  const served = { config: setting.config, controller: runController(setting), port };
  const replica = await startReplica(served, { client, metrics, certificatePolicy });
  onTestFinished(replica.stop);
  const expiresInMs = async (): Promise<number> => {
    const [, seconds] =
      /^connectionbudget_webhook_certificate_expiry_timestamp_seconds (\S+)$/m.exec(await metrics.text()) ?? [];
    return Number(seconds) * 1000 - Date.now();
  };
  const hasFailed = async (step: string) => metrics.text().then((text) => text.includes(`step="${step}"} `));
  const seen = new Set<string>();
  const endMs = performance.now() + 6_000;
  while (performance.now() < endMs) {
    seen.add(await handshake());
    await wait(100);
  }
  expect([...seen]).toEqual(['trusted']);

  const giveBack = await withdraw(setting.client, 'secrets');
  await until(async () => (await hasFailed('Certificate')) && hasFailed('SigningKeys'), true, 5_000);
  expect(await expiresInMs()).toBeGreaterThan(0);
  expect(await handshake()).toBe('trusted');
  await until(handshake, 'CERT_HAS_EXPIRED');
  expect(await expiresInMs()).toBeLessThan(1_000);
  await giveBack();

  await until(handshake, 'trusted');
}, 60_000);
