/**
 * The controller on a real API server with many budgets and pods (objects only): from its start until every budget has its
 * status, what one change costs then, and how long a change waits whose leader is killed. Requests are counted by the
 * server's audit log.
 *
 *     node test/bench/controller.bench.ts [PODS] [NAMESPACES]       default 10000 10; a budget for ten pods
 */
import { setTimeout as pause } from 'node:timers/promises';
import { connectionBudgetCrd, connectionNodeCrd } from '../../src/api/crd.ts';
import { budgets, type CustomObject } from '../../src/controller/resources.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { readKubeConfig } from '../../src/kube/kube-config.ts';
import { pods } from '../../src/kube/resources.ts';
import { crds } from '../kube/crd-resource.ts';
import type { Line } from './controller/controller-process.ts';
import { type Bundle, bundleController, ended, type Running, startController } from './controller/controller-run.ts';
import { type Crowd, type CrowdedServer, startCrowdedServer } from './list-watch/crowd.ts';

const call = { signal: new AbortController().signal, timeoutMs: 60_000 } as const;
const restSeconds = 30;

const budgetFor = (index: number, { namespaces }: Crowd): CustomObject => {
  const app = `app-${Math.floor(index / namespaces)}`;
  const spec = {
    selector: { matchLabels: { 'app.kubernetes.io/part-of': 'shop', app } },
    containers: [{ name: 'program' }],
    inbound: [{ name: 'clients', port: 8080, connections: 20_000, clients: { addresses: 100 } }],
  };
  const metadata = { namespace: `bench-${index % namespaces}`, name: app };
  return { apiVersion: 'connectionbudget.io/v1alpha1', kind: 'ConnectionBudget', metadata, spec };
};

async function createBudgets(client: KubeClient, crowd: Crowd): Promise<void> {
  for (const crd of [connectionBudgetCrd(), connectionNodeCrd()]) await client.create(crds, crd, call);
  const isServed = (): Promise<boolean> =>
    client.list(budgets, { limit: 1 }, call).then(
      () => true,
      () => false,
    );
  while (!(await isServed())) await pause(200);
  const indices = Array.from({ length: crowd.apps }, (_, index) => index).values();
  const worker = async (): Promise<void> => {
    for (const index of indices) await client.create(budgets, budgetFor(index, crowd), call);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}

interface Bench {
  readonly server: CrowdedServer;
  readonly client: KubeClient;
  readonly bundle: Bundle;
  readonly crowd: Crowd;
}

/** "1 patch connectionbudgets/status", …; renewals of Leases are beside the matter, there is one every two seconds. */
function tally(requests: readonly string[]): string {
  const kinds = Map.groupBy(
    requests.filter((request) => !request.endsWith(' leases')),
    (request) => request,
  );
  const counts = [...kinds].map(([request, all]) => `${all.length} ${request}`);
  return counts.length === 0 ? 'no request' : counts.join(', ');
}

async function requestsOf(server: CrowdedServer, action: () => Promise<unknown>): Promise<string> {
  const before = (await server.requests()).length;
  await action();
  return tally((await server.requests()).slice(before));
}

const stallOf = ({ longestStallMs, longestStallCpuMs }: Line): string =>
  `longest stall ${longestStallMs.toFixed(0)} ms (${longestStallCpuMs.toFixed(0)} ms of it its own)`;

const costOf = (line: Line): string =>
  `${line.cpuSeconds.toFixed(1)} s of CPU time, peak ${line.peakMiB.toFixed(0)} MiB, ${stallOf(line)}`;

async function start({ server, bundle, crowd }: Bench, what: string): Promise<Running> {
  const running = startController(bundle, server.kubeconfig, crowd.apps);
  const requests = await requestsOf(server, async () => {
    const busySeconds = await server.busySeconds();
    const synced = await running.next('Synced');
    console.log(`${what}: all listed after ${synced.seconds.toFixed(1)} s, ${costOf(synced)}`);
    const rest = await running.next('Rest');
    const { seconds, written, unchanged, failed } = rest;
    console.log(`  at rest after ${seconds.toFixed(1)} s, ${costOf(rest)}`);
    console.log(`  decisions: ${written} written, ${unchanged} unchanged, ${failed} failed`);
    console.log(`  server and etcd: ${((await server.busySeconds()) - busySeconds).toFixed(1)} s of CPU time`);
  });
  console.log(`  requests: ${requests}`);
  return running;
}

async function change({ server }: Bench, running: Running, { what, act }: Change): Promise<void> {
  const requests = await requestsOf(server, async () => {
    await act();
    console.log(`${what}: ${stallOf(await running.next('Rest'))}`);
  });
  console.log(`  requests, the change among them: ${requests}`);
}

interface Change {
  readonly what: string;
  readonly act: () => Promise<unknown>;
}

const namespace = 'bench-0';
const firstBudget = { resource: budgets, namespace, name: 'app-0' } as const;

const anotherSpec = (client: KubeClient): Promise<CustomObject> => {
  const connections = 20_000 + Math.floor(Math.random() * 10_000);
  const inbound = [{ name: 'clients', port: 8080, connections, clients: { addresses: 100 } }];
  return client.patch(firstBudget, { spec: { inbound } }, call);
};

const anotherPod = (client: KubeClient): Promise<unknown> => {
  const container = { name: 'program', image: 'registry.invalid/shop/app-0:v1.42.0' };
  const labels = { app: 'app-0', 'app.kubernetes.io/part-of': 'shop' };
  const metadata = { namespace, generateName: 'one-more-', labels };
  return client.create(pods, { metadata, spec: { containers: [container] } }, call);
};

/** Another replica has its caches whole, the leader dies, and a spec is changed in the same moment. */
async function takeOver(bench: Bench, leader: Running): Promise<Running> {
  const { server, client, bundle, crowd } = bench;
  const follower = startController(bundle, server.kubeconfig, crowd.apps);
  console.log(`a second replica follows: ${costOf(await follower.next('Synced'))}`);
  await ended(leader, 'SIGKILL');
  const killedMs = performance.now();
  const { metadata } = await anotherSpec(client);
  const seconds = (): string => ((performance.now() - killedMs) / 1000).toFixed(1);
  while (!(await isAnswered(client, metadata?.generation))) await pause(50);
  console.log(`the leader was killed: another spec is answered after ${seconds()} s (its Lease lasts 15 s)`);
  const rest = await follower.next('Rest');
  console.log(`  at rest after ${seconds()} s with the 2 s of watching it, ${costOf(rest)}, ${rest.written} written`);
  return follower;
}

async function isAnswered(client: KubeClient, generation: number | undefined): Promise<boolean> {
  const { status } = await client.get(firstBudget, call);
  const { observedGeneration } = (status ?? {}) as { readonly observedGeneration?: number };
  return observedGeneration === generation;
}

async function measure(bench: Bench): Promise<void> {
  const { server, client, crowd } = bench;
  await createBudgets(client, crowd);
  console.log(`${crowd.apps} budgets for ${crowd.pods} pods in ${crowd.namespaces} namespaces`);
  await ended(await start(bench, 'first start, every status is written'), 'SIGTERM');
  const running = await start(bench, 'start where every status is there');
  await change(bench, running, { what: 'one more pod', act: () => anotherPod(client) });
  await change(bench, running, { what: 'another spec of one budget', act: () => anotherSpec(client) });
  console.log(`${restSeconds} s at rest: ${await requestsOf(server, () => pause(restSeconds * 1000))}`);
  await ended(await takeOver(bench, running), 'SIGTERM');
}

async function main(podCount: number, namespaces: number): Promise<void> {
  const crowd: Crowd = { pods: podCount, namespaces, apps: Math.floor(podCount / 10) };
  const bundle = await bundleController();
  const server = await startCrowdedServer(crowd);
  const client = createKubeClient(readKubeConfig(server.kubeconfig), { connections: 16 });
  try {
    await measure({ server, client, bundle, crowd });
  } finally {
    await client.close();
    await server.stop();
    await bundle.remove();
  }
}

const [podCount = '10000', namespaces = '10'] = process.argv.slice(2);
await main(Number(podCount), Number(namespaces));
process.exit(0);
