/**
 * One sync of all pods, measured in a process of its own; the pods are projected as the operator projects them.
 *
 *     node test/bench/list-watch/reader.ts READER KUBECONFIG PODS
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { CoreV1Api, KubeConfig, makeInformer, type V1PodList } from '@kubernetes/client-node';
import { projectPod } from '../../../src/controller/projections.ts';
import { createKubeClient } from '../../../src/kube/client.ts';
import { readKubeConfig } from '../../../src/kube/kube-config.ts';
import { startListWatch } from '../../../src/kube/list-watch.ts';
import { pods } from '../../../src/kube/resources.ts';

const { signal } = new AbortController();

async function syncOurs(kubeconfig: string, watchList: boolean): Promise<() => number> {
  const client = createKubeClient(readKubeConfig(kubeconfig));
  const cache = startListWatch({ client, resource: pods, project: projectPod, signal, watchList });
  await cache.synced;
  return cache.size;
}

/** `limit`: the list that its user gives it goes through pages and puts them together. */
async function syncInformer(kubeconfig: string, limit?: number): Promise<() => number> {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const core = config.makeApiClient(CoreV1Api);
  const query = limit === undefined ? {} : { limit };
  const listAll = async (position = {}): Promise<V1PodList> => {
    const list = await core.listPodForAllNamespaces({ ...query, ...position });
    const { _continue } = list.metadata ?? {};
    if (_continue !== undefined) list.items = list.items.concat((await listAll({ _continue })).items);
    return list;
  };
  const informer = makeInformer(config, '/api/v1/pods', () => listAll());
  let failure: unknown;
  informer.on('error', (error) => {
    failure = error;
  });
  await informer.start();
  if (failure !== undefined) throw failure;
  return () => informer.list().length;
}

const readers: Readonly<Record<string, (kubeconfig: string) => Promise<() => number>>> = {
  watchList: (kubeconfig) => syncOurs(kubeconfig, true),
  pages: (kubeconfig) => syncOurs(kubeconfig, false),
  informer: (kubeconfig) => syncInformer(kubeconfig),
  informerInPages: (kubeconfig) => syncInformer(kubeconfig, 500),
};

const [reader = '', kubeconfig = '', expected = ''] = process.argv.slice(2);
const delay = monitorEventLoopDelay({ resolution: 2 });
delay.enable();
const startedAtMs = performance.now();
const count = await readers[reader]?.(kubeconfig);
const seconds = (performance.now() - startedAtMs) / 1000;
await new Promise((resolve) => setTimeout(resolve, 20));
delay.disable();
if (count?.() !== Number(expected)) throw new Error(`${reader} sees ${count?.()} pods of ${expected}`);
const figures = { seconds, peakMiB: process.resourceUsage().maxRSS / 1024, longestStallMs: delay.max / 1e6 };
process.stdout.write(JSON.stringify(figures), () => process.exit(0));
