import { onTestFinished, test } from 'vitest';
import { createKubeClient } from '../../src/kube/client.ts';
import { namespaces } from '../../src/kube/resources.ts';
import { createMetrics, type Metrics } from '../../src/observability/metrics.ts';
import { startFaultProxy } from '../kube/fault-proxy.ts';
import { until } from '../kube/until.ts';
import { followThroughProxy } from '../soak/caches.ts';
import { createJournal } from '../soak/journal.ts';
import { parseMetrics, type Sample } from '../soak/samples.ts';
import { cacheDifferences, replicaDifferences } from '../soak/verdicts/caches.ts';
import { call, createNamespace, runController, useControllerSetting } from './controller-setting.ts';

/** The soak's verdict over caches: whatever a watch missed, it must not miss. */

const setting = useControllerSetting();
const nowMs = (): number => performance.now();

const startProxy = async () => {
  const proxy = await startFaultProxy(setting.server.kubeconfig);
  onTestFinished(proxy.close);
  return proxy;
};

const follow = async (proxy: Awaited<ReturnType<typeof startProxy>>) => {
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const soak = {
    proxy,
    client: setting.client,
    signal: stop.signal,
    journal: createJournal(nowMs, () => undefined),
  };
  const caches = followThroughProxy(soak);
  await caches.synced;
  return { soak, caches };
};

test('a cache that was cut off differs by what came and what went, and is equal when it is back', async () => {
  await createNamespace(setting, 'goes');
  const proxy = await startProxy();
  const { soak, caches } = await follow(proxy);
  await until(() => cacheDifferences(soak, caches), []);

  proxy.setDown(true);
  await createNamespace(setting, 'comes');
  const labels = { 'connectionbudget.io/enabled': 'false' };
  await setting.client.patch({ resource: namespaces, name: 'goes' }, { metadata: { labels } }, call);

  const differences = ['namespaces comes is missing in the cache', 'namespaces goes differs'];
  await until(async () => (await cacheDifferences(soak, caches)).toSorted(), differences);
  proxy.setDown(false);
  await until(() => cacheDifferences(soak, caches), []);
});

const sampleOf = async (pod: string, metrics: Metrics): Promise<Sample> => ({
  atMs: 0,
  process: pod,
  pod,
  part: 'operator',
  values: parseMetrics(await metrics.text()),
});

test('of two replicas the one that is cut off is told by its digests', async () => {
  const proxy = await startProxy();
  const { soak, caches } = await follow(await startProxy());
  const [here, away] = [createMetrics(), createMetrics()];
  runController(setting, { metrics: here });
  const client = createKubeClient(proxy.config);
  onTestFinished(client.close);
  runController(setting, { metrics: away, client, config: proxy.config });
  const samples = { now: () => Promise.all([sampleOf('here', here), sampleOf('away', away)]) };
  await until(() => replicaDifferences(soak, caches, samples), []);

  proxy.setDown(true);
  await createNamespace(setting, 'unseen');

  const said = async (): Promise<readonly string[]> =>
    (await replicaDifferences(soak, caches, samples)).map((difference) => difference.replaceAll(/\d+/g, 'N'));
  await until(said, ['away holds N namespaces, the server N; digests differ']);
  proxy.setDown(false);
  await until(() => replicaDifferences(soak, caches, samples), []);
}, 90_000);
