/**
 * What it costs to look at a pod that has very many sockets, both ends of its connections, of which some hundreds a second
 * come and go: the agent as the image has it, with a real API server and containerd's side of NRI; beside it ss(8) and
 * sock_diag(7) every 15 s. Needs root, iproute2 and Go.
 *
 *     node test/bench/observe.bench.ts [SOCKETS] [SECONDS]       default 1000000 300
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { type ConnectionNodeStatus, connectionNodeStatus } from '../../src/api/connection-node.ts';
import { connectionNodeCrd } from '../../src/api/crd.ts';
import { group, nodePlural, version } from '../../src/api/names.ts';
import { openFlowCounter } from '../../src/linux/flows/flow-counter.ts';
import { createNamespaceWorker } from '../../src/linux/namespace-worker.ts';
import { readNofile } from '../../src/linux/rlimits.ts';
import { createKubeClient } from '../../src/kube/client.ts';
import { readKubeConfig } from '../../src/kube/kube-config.ts';
import type { KubeObject, Resource } from '../../src/kube/resources.ts';
import { podIn } from '../agent/node-setting.ts';
import { makeSigner, sectionOf } from '../agent/plans.ts';
import { startApiServer } from '../cluster/lab/api-server.ts';
import { type Connector, peerPorts, startConnector, startServer } from '../kernel/spread-setting.ts';
import { crds } from '../kube/crd-resource.ts';
import { flowsObject, match } from '../linux/flow-setting.ts';
import { buildRuntime, Runtime } from '../nri/runtime.ts';
import { type BothEnds, heldPort, withBothEnds } from './both-ends.ts';
import { buildBundle } from './webhook-peers/builds.ts';
import { cpuSecondsOf, median, residentMiBOf } from './webhook-peers/measure.ts';

const [sockets = 1_000_000, seconds = 300] = process.argv.slice(2).map(Number);
const [churnPort] = peerPorts;
const churnPerSecond = 300;
const lookEverySeconds = 15;
const looks = 3;

const nodeName = 'bench';
const connectionNodes: Resource<KubeObject & { readonly status?: unknown }> = {
  group,
  version,
  kind: 'ConnectionNode',
  plural: nodePlural,
  namespaced: false,
};
const signer = makeSigner();

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const percentOf = (cpuSeconds: number, wallSeconds: number): string =>
  `${((100 * cpuSeconds) / wallSeconds).toFixed(2)} % of a core`;

/** Of children that have ended: cutime and cstime (proc_pid_stat(5)). */
async function childrenCpuSeconds(): Promise<number> {
  const stat = await readFile('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

const ownCpuSeconds = (): Promise<number> => {
  const { user, system } = process.cpuUsage();
  return Promise.resolve((user + system) / 1e6);
};

/** Median of so many looks, as if each came every 15 s. */
async function tellPeer(name: string, look: () => Promise<void> | void, spent: () => Promise<number>): Promise<void> {
  const cost: number[] = [];
  for (let turn = 0; turn < looks; turn += 1) {
    const before = await spent();
    await look();
    cost.push((await spent()) - before);
  }
  const each = median(cost);
  say(
    `${name.padEnd(26)} ${each.toFixed(2)} s a look, every ${lookEverySeconds} s: ${percentOf(each, lookEverySeconds)}`,
  );
}

async function tellPeers(netnsPath: string): Promise<void> {
  const ss = (): void => void spawnSync('nsenter', [`--net=${netnsPath}`, 'ss', '-tan'], { stdio: 'ignore' });
  await tellPeer('ss -tan, not parsed', ss, childrenCpuSeconds);
  const closing = new AbortController();
  const worker = createNamespaceWorker({ signal: closing.signal });
  const matches = [match({ localPorts: [heldPort] }), match({ hasRest: true })];
  for (const [name, objectPath] of [
    ['sock_diag, by flow', '/nowhere'],
    ['the iterator, by flow', await flowsObject()],
  ] as const) {
    using counter = openFlowCounter({ objectPath, worker });
    await tellPeer(name, async () => void (await counter.count(netnsPath, matches, closing.signal)), ownCpuSeconds);
  }
  closing.abort();
}

interface Surroundings {
  readonly folder: string;
  readonly kubeconfig: string;
  readonly readNode: () => Promise<ConnectionNodeStatus>;
}

async function withApiServer(use: (surroundings: Surroundings) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'observe-'));
  const server = await startApiServer({ dir: join(folder, 'server') });
  const client = createKubeClient(readKubeConfig(server.kubeconfig));
  const call = { signal: AbortSignal.timeout(1_200_000) } as const;
  try {
    await client.create(crds, connectionNodeCrd(), call);
    const readNode = async (): Promise<ConnectionNodeStatus> => {
      const node = await client.get({ resource: connectionNodes, name: nodeName }, call);
      return connectionNodeStatus.parse(node.status);
    };
    await use({ folder, kubeconfig: server.kubeconfig, readNode });
  } finally {
    await client.close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Agent {
  readonly pid: number;
  readonly socketPath: string;
  readonly metrics: () => Promise<string>;
  readonly stop: () => Promise<void>;
}

async function startAgent(program: string, { folder, kubeconfig }: Surroundings): Promise<Agent> {
  const socketPath = join(folder, 'nri.sock');
  await mkdir(join(folder, 'keys'));
  await writeFile(join(folder, 'keys', 'key-1'), signer.published);
  const flags = {
    'node-name': nodeName,
    'nri-socket': socketPath,
    'keys-directory': join(folder, 'keys'),
    'runtime-names': 'adaptation',
    kubeconfig,
    port: '0',
  };
  const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const { promise: started, resolve } = Promise.withResolvers<number>();
  createInterface(child.stdout).on('line', (text) => {
    const { message, port = 0, ...rest } = JSON.parse(text) as { readonly message: string; readonly port?: number };
    if (message === 'started') resolve(port);
    if (message.includes('flows')) say(JSON.stringify(rest));
  });
  const port = await started;
  return {
    pid: child.pid ?? 0,
    socketPath,
    metrics: async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text(),
    stop: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** The namespace is that of the ends: they are a pod, with the accepting process as its container. */
async function showPod({ serverPid }: BothEnds, { socketPath }: Agent): Promise<Runtime> {
  const runtime = new Runtime(await buildRuntime(), socketPath);
  await runtime.reached('synchronized');
  const { soft, hard } = readNofile(serverPid);
  const section = sectionOf({
    containers: [{ name: 'gateway', soft, hard }],
    sysctls: {},
    flows: [
      { name: 'mqtt', direction: 'Inbound', port: heldPort, targets: [] },
      { name: 'clients', direction: 'Outbound', port: 0, targets: [] },
    ],
  });
  const pod = podIn({ path: `/proc/${serverPid}/ns/net` }, signer.annotationOf(section), serverPid);
  await runtime.call('RunPodSandbox', { pod });
  const container = { id: 'c', podSandboxId: 'sandbox-1', name: 'gateway', pid: serverPid };
  await runtime.call('PostStartContainer', { pod, container });
  return runtime;
}

/** Connections that come and go, so that totals give reason to look at the flows. */
async function churn(connector: Connector, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await connector.churn('127.0.0.1', churnPort, churnPerSecond);
    await pause(1000, undefined, { signal }).catch(() => undefined);
  }
}

async function tellAgent(ends: BothEnds, surroundings: Surroundings): Promise<void> {
  const agent = await startAgent(await buildBundle('agent', join(surroundings.folder, 'image')), surroundings);
  const startSeconds = await cpuSecondsOf(agent.pid);
  await using runtime = await showPod(ends, agent);
  const began = performance.now();
  const before = await cpuSecondsOf(agent.pid);
  await pause(seconds * 1000);
  const spent = (await cpuSecondsOf(agent.pid)) - before;
  const wallSeconds = (performance.now() - began) / 1000;
  say(
    `the agent, all threads     ${spent.toFixed(2)} s in ${wallSeconds.toFixed(0)} s: ${percentOf(spent, wallSeconds)}`,
  );
  say(`  its start ${startSeconds.toFixed(2)} s; resident ${(await residentMiBOf(agent.pid)).toFixed(0)} MiB`);
  const own = (await agent.metrics()).match(/^connectionbudget_(observe|flow)_\S+ .*$/gm) ?? [];
  for (const line of own) say(`  ${line}`);
  say(`  reported: ${JSON.stringify((await surroundings.readNode()).pods[0])}`);
  await runtime[Symbol.asyncDispose]();
  await agent.stop();
}

async function main(): Promise<void> {
  await withBothEnds(sockets / 2, async (ends) => {
    const netnsPath = `/proc/${ends.serverPid}/ns/net`;
    await using made = new AsyncDisposableStack();
    made.use(await startServer(netnsPath));
    const connector = made.use(startConnector(netnsPath));
    const stop = new AbortController();
    const churning = churn(connector, stop.signal);
    say(`${sockets} sockets in the namespace of a pod`);
    await tellPeers(netnsPath);
    await withApiServer((surroundings) => tellAgent(ends, surroundings));
    stop.abort();
    await churning;
  });
}

await main();
process.exit(0);
