import { X509Certificate } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { connect } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { type KubeObject, type Resource } from '../../src/kube/resources.ts';
import { caBundleOf, defaultCertificatePolicy, nextCertificateSet } from '../../src/webhook/certificate-set.ts';
import { freePorts } from '../cluster/lab/ports.ts';
import { until } from '../kube/until.ts';
import { createKubeClient } from '../../src/kube/client.ts';
import { call, operatorNamespace } from './controller-setting.ts';
import { mutating, validating } from './webhook-registration.ts';
import { createPod, planOf, startReplica, useWebhookSetting, withBudgets } from './webhook-setting.ts';

/** Years in seconds: an authority every 4 s, of which the next server certificate is 2 s later. */
const certificatePolicy = {
  authorityValidMs: 3_600_000,
  authorityRenewMs: 4_000,
  serverValidMs: 3_600_000,
  serverRenewMs: 3_000,
  overlapMs: 2_000,
};
const setting = useWebhookSetting({ certificatePolicy });

const bundleOf = async (resource: typeof mutating): Promise<string> => {
  const { webhooks } = await setting.client.get({ resource, name: 'connectionbudget' }, call);
  return webhooks[0]?.clientConfig.caBundle ?? '';
};

/** The issuer that a new connection is shown, which the configuration's caBundle must trust. */
const shownIssuer = async (port = setting.port): Promise<string> => {
  const ca = Buffer.from(await bundleOf(mutating), 'base64');
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca }, () => {
      resolve(new X509Certificate(socket.getPeerCertificate().raw).issuer);
      socket.end();
    });
    socket.on('error', reject);
  });
};

/** The API server keeps 25 idle connections: the rest of each burst shakes hands anew. */
const burst = Array.from({ length: 60 }, (_, index) => index);

test('while authorities and certificates are exchanged under load, every pod gets its plan', async () => {
  await withBudgets(setting, 'rotation');
  const issuers = new Set<string>();
  const endMs = Date.now() + 15_000;
  let planned = 0;
  const unplanned: string[] = [];
  const client = createKubeClient(setting.config, { connections: burst.length });
  onTestFinished(client.close);
  const askOnce = async (name: string): Promise<void> => {
    const plan = planOf(await createPod({ ...setting, client }, { namespace: 'rotation', name, dryRun: true }));
    planned += Number(plan !== undefined);
    unplanned.push(...[name].filter(() => plan === undefined));
  };
  const load = async (): Promise<void> => {
    for (let round = 0; Date.now() < endMs; round += 1) {
      await Promise.all(burst.map(async (index) => askOnce(`pod-${round}-${index}`)));
    }
  };
  const look = async (): Promise<void> => {
    while (Date.now() < endMs) {
      issuers.add(await shownIssuer());
      await wait(100);
    }
  };

  await Promise.all([look(), load()]);

  expect(unplanned).toEqual([]);
  expect(planned).toBeGreaterThan(500);
  expect(issuers.size).toBeGreaterThanOrEqual(3);
}, 60_000);

test('a caBundle that somebody broke is set right, and pods get their plan again', async () => {
  await withBudgets(setting, 'repair');
  const moment = { nowMs: Date.now(), hosts: ['other'], policy: defaultCertificatePolicy };
  const wrong = caBundleOf(nextCertificateSet(undefined, moment));
  const value = [{ op: 'replace', path: '/webhooks/0/clientConfig/caBundle', value: wrong }] as const;

  for (const resource of [mutating, validating]) {
    await setting.client.patch({ resource, name: 'connectionbudget' }, value, call);
  }

  await until(async () => (await bundleOf(mutating)) !== wrong && (await bundleOf(validating)) !== wrong, true);
  const isPlanned = async () =>
    planOf(await createPod(setting, { namespace: 'repair', name: 'a', dryRun: true })) !== undefined;
  await until(isPlanned, true);
  expect(await setting.metrics.text()).toMatch(/connectionbudget_webhook_ca_bundle_repairs_total [1-9]/);
});

const secrets: Resource<KubeObject> = { group: '', version: 'v1', kind: 'Secret', plural: 'secrets', namespaced: true };

test('while the Secret of certificates is deleted again and again, no handshake with either replica fails', async () => {
  const [port = 0] = await freePorts(1, call.signal);
  const other = await startReplica(setting, { port, certificatePolicy, upkeepMs: 1_000 });
  onTestFinished(other.stop);
  const before = await shownIssuer();
  const target = { resource: secrets, namespace: operatorNamespace, name: 'connectionbudget-webhook-certificates' };
  const issuers: string[] = [];
  const endMs = Date.now() + 6_000;
  while (Date.now() < endMs) {
    await setting.client.delete(target, call).catch(() => undefined);
    for (let round = 0; round < 10; round += 1) {
      issuers.push(await shownIssuer(port), await shownIssuer());
      await wait(100);
    }
  }

  expect(issuers.at(-1)).not.toBe(before);
});

test('the caBundle is the one field that the webhook owns', async () => {
  const { metadata } = await setting.client.get({ resource: mutating, name: 'connectionbudget' }, call);
  const owned = metadata?.managedFields?.find(({ manager }) => manager === 'connectionbudget-webhook');

  expect(owned).toMatchObject({ operation: 'Apply' });
  expect(owned?.fieldsV1).toEqual({
    'f:webhooks': {
      'k:{"name":"pods.connectionbudget.io"}': { '.': {}, 'f:clientConfig': { 'f:caBundle': {} }, 'f:name': {} },
    },
  });
});
