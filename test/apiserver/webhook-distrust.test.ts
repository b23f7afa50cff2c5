import { expect, test } from 'vitest';
import { caBundleOf, defaultCertificatePolicy, nextCertificateSet } from '../../src/webhook/certificate-set.ts';
import { until } from '../kube/until.ts';
import { call } from './controller-setting.ts';
import { mutating } from './webhook-registration.ts';
import { createPod, planOf, useWebhookSetting, withBudgets } from './webhook-setting.ts';

const setting = useWebhookSetting({ upkeepMs: 600_000 });

test('an API server that does not trust the certificate says so, and the caBundle is set long before the next round', async () => {
  const namespace = 'distrusted';
  await withBudgets(setting, namespace);
  const isPlanned = async (): Promise<boolean> =>
    planOf(await createPod(setting, { namespace, name: 'a', dryRun: true })) !== undefined;
  expect(await isPlanned()).toBe(true);

  const moment = { nowMs: Date.now(), hosts: ['other'], policy: defaultCertificatePolicy };
  const value = caBundleOf(nextCertificateSet(undefined, moment));
  const step = { op: 'replace', path: '/webhooks/0/clientConfig/caBundle', value } as const;
  await setting.client.patch({ resource: mutating, name: 'connectionbudget' }, [step], call);

  await until(isPlanned, false);
  await until(isPlanned, true, 20_000);
}, 60_000);
