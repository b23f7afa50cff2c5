/**
 * Our list-and-watch against client-node's informer, on a real API server with many pods: seconds until synced, memory
 * and the longest time that the event loop stood still. Each reader runs in a process of its own.
 *
 *     node test/bench/list-watch.bench.ts [PODS] [ROUNDS]       default 5000 3
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CoreV1Api, KubeConfig, makeInformer } from '@kubernetes/client-node';
import { createKubeClient } from '../../src/kube/client.ts';
import { readKubeConfig } from '../../src/kube/kube-config.ts';
import { startListWatch } from '../../src/kube/list-watch.ts';
import { namespaces, type Pod, pods } from '../../src/kube/resources.ts';
import { startApiServer } from '../cluster/lab/api-server.ts';

interface Figures {
  readonly seconds: number;
  readonly addedMiB: number;
  readonly peakMiB: number;
  readonly longestStallMs: number;
}

const { signal } = new AbortController();
const namespace = 'bench';
const mebibyte = 1024 * 1024;

const summaryOf = ({ metadata, status }: Pod) => ({
  labels: metadata?.labels,
  phase: status?.phase,
  podIP: status?.podIP,
});

async function syncOurs(kubeconfig: string, watchList: boolean): Promise<number> {
  const client = createKubeClient(readKubeConfig(kubeconfig));
  const cache = startListWatch({ client, resource: pods, project: summaryOf, signal, watchList });
  await cache.synced;
  return cache.size();
}

async function syncInformer(kubeconfig: string): Promise<number> {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const core = config.makeApiClient(CoreV1Api);
  const informer = makeInformer(config, '/api/v1/pods', () => core.listPodForAllNamespaces());
  await informer.start();
  return informer.list().length;
}

const readers: Readonly<Record<string, (kubeconfig: string) => Promise<number>>> = {
  'ours, WatchList': (kubeconfig) => syncOurs(kubeconfig, true),
  'ours, pages': (kubeconfig) => syncOurs(kubeconfig, false),
  informer: syncInformer,
};

/** Runs in the child: one sync, measured. */
async function measure(reader: string, kubeconfig: string, expected: number): Promise<Figures> {
  const rssBefore = process.memoryUsage.rss();
  const delay = monitorEventLoopDelay({ resolution: 2 });
  delay.enable();
  const startedAtMs = performance.now();
  const count = await readers[reader]?.(kubeconfig);
  const seconds = (performance.now() - startedAtMs) / 1000;
  await new Promise((resolve) => setTimeout(resolve, 20));
  delay.disable();
  if (count !== expected) throw new Error(`${reader} sees ${count} pods of ${expected}`);
  const peak = process.resourceUsage().maxRSS / 1024;
  const addedMiB = (process.memoryUsage.rss() - rssBefore) / mebibyte;
  return { seconds, addedMiB, peakMiB: peak, longestStallMs: delay.max / 1e6 };
}

function podNamed(name: string): Pod {
  const env = Array.from({ length: 20 }, (_, index) => ({
    name: `SETTING_${index}`,
    value: `value ${index} of ${name}`,
  }));
  const resources = { requests: { cpu: '100m', memory: '64Mi' }, limits: { memory: '128Mi' } };
  return {
    metadata: { name, namespace, labels: { app: 'bench', pod: name } },
    spec: { containers: [{ name: 'main', image: 'registry.invalid/bench:1', env, resources }] },
  };
}

async function createPods(kubeconfig: string, count: number): Promise<void> {
  const client = createKubeClient(readKubeConfig(kubeconfig), { connections: 16 });
  await client.create(namespaces, { metadata: { name: namespace } }, { signal });
  const names = Array.from({ length: count }, (_, index) => `pod-${index}`).values();
  const worker = async (): Promise<void> => {
    for (const name of names) await client.create(pods, podNamed(name), { signal, timeoutMs: 60_000 });
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  await client.close();
}

async function runReader(reader: string, kubeconfig: string, count: number): Promise<Figures> {
  const file = fileURLToPath(import.meta.url);
  const { stdout } = await promisify(execFile)(process.execPath, [file, 'measure', reader, kubeconfig, String(count)]);
  return JSON.parse(stdout) as Figures;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

function mediansOf(figures: readonly Figures[]): Figures {
  const of = (key: keyof Figures): number => median(figures.map((figure) => figure[key]));
  return {
    seconds: of('seconds'),
    addedMiB: of('addedMiB'),
    peakMiB: of('peakMiB'),
    longestStallMs: of('longestStallMs'),
  };
}

function print(results: ReadonlyMap<string, Figures>): void {
  console.log('reader           seconds  added MiB  peak MiB  longest stall ms   (medians)');
  for (const [reader, { seconds, addedMiB, peakMiB, longestStallMs }] of results) {
    const columns = [seconds.toFixed(2).padStart(7), addedMiB.toFixed(0).padStart(10), peakMiB.toFixed(0).padStart(9)];
    console.log(`${reader.padEnd(16)} ${columns.join(' ')} ${longestStallMs.toFixed(0).padStart(17)}`);
  }
  const informer = results.get('informer');
  const ours = results.get('ours, WatchList');
  if (informer === undefined || ours === undefined) return;
  const ratio = (key: keyof Figures): string => (informer[key] / ours[key]).toFixed(1);
  console.log(
    `informer / ours (WatchList): ${ratio('seconds')} × the time, ${ratio('addedMiB')} × the memory added, ` +
      `${ratio('longestStallMs')} × the longest stall`,
  );
}

async function compare(count: number, rounds: number): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'list-watch-bench-'));
  const server = await startApiServer({ dir, onProgress: console.error });
  try {
    const startedAtMs = performance.now();
    await createPods(server.kubeconfig, count);
    console.log(`${count} pods created in ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s`);
    const results = new Map<string, Figures[]>();
    for (let round = 0; round < rounds; round += 1) {
      for (const reader of Object.keys(readers)) {
        const figures = await runReader(reader, server.kubeconfig, count);
        results.set(reader, [...(results.get(reader) ?? []), figures]);
      }
    }
    print(new Map([...results].map(([reader, figures]) => [reader, mediansOf(figures)])));
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

const [first = '5000', second = '3', kubeconfig = '', expected = ''] = process.argv.slice(2);
if (first === 'measure') {
  process.stdout.write(JSON.stringify(await measure(second, kubeconfig, Number(expected))), () => process.exit(0));
} else {
  await compare(Number(first), Number(second));
}
