import { onTestFinished } from 'vitest';
import { createKubeClient } from '../../src/kube/client.ts';
import { type ListWatchOptions, startListWatch, type WatchReport } from '../../src/kube/list-watch.ts';
import { type ConfigMap, configMaps } from '../../src/kube/resources.ts';
import { type KubeSetting, namespace } from './kube-setting.ts';

/** Follows the namespace's ConfigMaps through the proxy, and writes down what the handlers are told. */
export function followConfigMaps(setting: KubeSetting, options: Partial<ListWatchOptions<ConfigMap, string>> = {}) {
  const client = createKubeClient(setting.proxy.config);
  const controller = new AbortController();
  const calls: string[] = [];
  const reports: WatchReport[] = [];
  const cache = startListWatch<ConfigMap, string>({
    client,
    resource: configMaps,
    namespace,
    project: ({ data }) => data?.['value'],
    handlers: {
      synced: () => calls.push('synced'),
      upserted: (key, value, previous) => calls.push(`${key}: ${previous ?? 'none'} → ${value}`),
      deleted: (key, value) => calls.push(`${key}: ${value} → none`),
    },
    report: (report) => reports.push(report),
    backoff: { baseMs: 20, maximumMs: 200 },
    signal: controller.signal,
    ...options,
  });
  onTestFinished(async () => {
    controller.abort();
    await cache.stopped;
    await client.close();
  });
  const contents = () => Object.fromEntries([...cache.keys()].map((key) => [key, cache.get(key)]));
  const lists = () => reports.filter(({ type }) => type === 'Listed').length;
  const interruptions = () => reports.filter((report) => report.type === 'Interrupted');
  const kinds = () => interruptions().map(({ error }) => error.kind);
  return { cache, calls, reports, contents, lists, interruptions, kinds, stop: () => controller.abort() };
}
