/**
 * The controller on a real API server with many budgets and pods (objects only): from its start until every budget has its
 * status, and what one change costs then. Requests are counted by the server's audit log.
 *
 *     node test/bench/controller.bench.ts [PODS] [NAMESPACES]       default 10000 10; a budget for ten pods
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { connectionBudgetCrd, connectionNodeCrd } from '../../src/api/crd.ts';
import { budgets, type CustomObject } from '../../src/controller/resources.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { readKubeConfig } from '../../src/kube/kube-config.ts';
import { pods } from '../../src/kube/resources.ts';
import { crds } from '../kube/crd-resource.ts';
import type { Rest } from './controller/controller-process.ts';
import { type Crowd, type CrowdedServer, readerCore, startCrowdedServer } from './list-watch/crowd.ts';

const call = { signal: new AbortController().signal, timeoutMs: 60_000 } as const;
const program = new URL('controller/controller-process.ts', import.meta.url).pathname;
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

interface Running {
  readonly child: ChildProcess;
  /** The next time that it has come to rest. */
  readonly rest: () => Promise<Rest>;
}

function startController(kubeconfig: string, budgetCount: number): Running {
  const command = ['--cpu-list', readerCore, process.execPath, program, kubeconfig, String(budgetCount)];
  const child = spawn('taskset', command, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const rest = async (): Promise<Rest> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error('the controller ended');
    return JSON.parse(value) as Rest;
  };
  return { child, rest };
}

async function stopped({ child }: Running): Promise<void> {
  child.kill('SIGTERM');
  await once(child, 'exit');
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

const costOf = ({ peakMiB, longestStallMs }: Rest): string =>
  `peak ${peakMiB.toFixed(0)} MiB, longest stall ${longestStallMs.toFixed(0)} ms`;

async function start(server: CrowdedServer, what: string, budgetCount: number): Promise<Running> {
  const running = startController(server.kubeconfig, budgetCount);
  const requests = await requestsOf(server, async () => {
    const rest = await running.rest();
    const { seconds, written, unchanged, failed } = rest;
    console.log(`${what}: at rest after ${seconds.toFixed(1)} s, ${costOf(rest)}`);
    console.log(`  decisions: ${written} written, ${unchanged} unchanged, ${failed} failed`);
  });
  console.log(`  requests: ${requests}`);
  return running;
}

async function change(server: CrowdedServer, running: Running, { what, act }: Change): Promise<void> {
  const requests = await requestsOf(server, async () => {
    await act();
    const { longestStallMs } = await running.rest();
    console.log(`${what}: longest stall ${longestStallMs.toFixed(0)} ms`);
  });
  console.log(`  requests, the change among them: ${requests}`);
}

interface Change {
  readonly what: string;
  readonly act: () => Promise<unknown>;
}

function changesOf(client: KubeClient): readonly Change[] {
  const namespace = 'bench-0';
  const container = { name: 'program', image: 'registry.invalid/shop/app-0:v1.42.0' };
  const labels = { app: 'app-0', 'app.kubernetes.io/part-of': 'shop' };
  const pod = { metadata: { namespace, generateName: 'one-more-', labels }, spec: { containers: [container] } };
  const target = { resource: budgets, namespace, name: 'app-0' } as const;
  const connections = 20_000 + Math.floor(Math.random() * 10_000);
  const inbound = [{ name: 'clients', port: 8080, connections, clients: { addresses: 100 } }];
  return [
    { what: 'one more pod', act: () => client.create(pods, pod, call) },
    { what: 'another spec of one budget', act: () => client.patch(target, { spec: { inbound } }, call) },
  ];
}

async function main(podCount: number, namespaces: number): Promise<void> {
  const crowd: Crowd = { pods: podCount, namespaces, apps: Math.floor(podCount / 10) };
  const server = await startCrowdedServer(crowd);
  const client = createKubeClient(readKubeConfig(server.kubeconfig), { connections: 16 });
  try {
    await createBudgets(client, crowd);
    console.log(`${crowd.apps} budgets for ${crowd.pods} pods in ${namespaces} namespaces`);
    await stopped(await start(server, 'first start, every status is written', crowd.apps));
    const running = await start(server, 'start where every status is there', crowd.apps);
    for (const one of changesOf(client)) await change(server, running, one);
    const atRest = await requestsOf(server, () => pause(restSeconds * 1000));
    console.log(`${restSeconds} s at rest: ${atRest}`);
    await stopped(running);
  } finally {
    await client.close();
    await server.stop();
  }
}

const [podCount = '10000', namespaces = '10'] = process.argv.slice(2);
await main(Number(podCount), Number(namespaces));
process.exit(0);
