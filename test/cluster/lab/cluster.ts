import { join } from 'node:path';
import { z } from 'zod';
import { startApiServer, type ApiServer } from './api-server.ts';
import { ensureComponents, type ComponentPaths } from './build.ts';
import { withLock } from './build-lock.ts';
import { createCgroups } from './cgroups.ts';
import { removeCluster } from './cluster-down.ts';
import { instanceOf, readClusterRecord, writeClusterRecord } from './cluster-record.ts';
import { run } from './command.ts';
import { nodeComponents } from './components.ts';
import { containerdAddress, importImage as importInto } from './containerd.ts';
import { startScheduler } from './controller-manager.ts';
import { coreDnsManifest } from './core-dns.ts';
import { ensureRequirements, nodeRequirements, type Progress } from './debian.ts';
import { makeTestImages } from './images.ts';
import { LabError } from './lab-error.ts';
import { createNetwork, chooseNetworkPlan, namespacePath } from './network.ts';
import { networkPlanFor, type NetworkPlan } from './network-plan.ts';
import { startNode } from './node.ts';
import { sharedRunFolder } from './machine.ts';
import { createNodeMounts } from './node-mounts.ts';
import { findDaemon, recordedDaemons } from './process.ts';
import { cacheDirectory } from './environment.ts';
import { waitFor } from './wait.ts';

export type ClusterOptions = Progress & {
  /** The cluster's folder; it belongs to the cluster and is removed with it. Two folders are two clusters. */
  readonly dir: string;
};

export type Cluster = {
  readonly dir: string;
  /** Part of the names of all that it has on this machine. */
  readonly instance: string;
  /** An administrator's kubeconfig file that needs no other file. */
  readonly kubeconfig: string;
  readonly containerdAddress: string;
  /** NRI's socket as the machine sees it; on the node it has its usual place, /var/run/nri/nri.sock. */
  readonly nriSocket: string;
  readonly nodeName: string;
  readonly network: NetworkPlan;
  /** Files for nsenter(1): the node's network, and that of a peer outside the cluster. */
  readonly nodeNamespace: string;
  readonly outsideNamespace: string;
  readonly paths: ComponentPaths<(typeof nodeComponents)[number]>;
};

const nodeName = 'node-1';
const readyTimeoutMs = 90_000;

/**
 * Brings up a cluster of one real node on this machine, or gives the one that runs already; what is left of one that
 * does not run whole is removed first. Needs root. About 10 s once everything is built, see ensureComponents.
 * Throws LabError; what was made until then stays for looking at, and goes with clusterDown or the next clusterUp.
 */
export async function clusterUp(options: ClusterOptions): Promise<Cluster> {
  if (process.getuid?.() !== 0) throw new LabError('NotRoot', 'a node can only be run by root');
  await ensureRequirements(nodeRequirements, options);
  const paths = await ensureComponents(nodeComponents, options);
  return withLock(`${options.dir}.lock`, options.signal, async () => {
    const running = runningCluster(options.dir, paths);
    if (running !== undefined) return running;
    await removeCluster(options.dir, options);
    return start(options, paths);
  });
}

/** Gives the node an image from a docker-archive. */
export async function importImage(cluster: Cluster, archive: string, signal: AbortSignal): Promise<void> {
  await importInto(cluster.paths('ctr'), cluster.containerdAddress, { archive, signal });
}

export type KubectlOptions = { readonly signal: AbortSignal; readonly input?: string };

/**
 * Runs kubectl as administrator; gives its standard output. What it learns of the API is kept with the cluster: the cache
 * in the home directory goes by the address, which the next cluster has too.
 */
export function kubectl(cluster: Cluster, args: readonly string[], options: KubectlOptions): Promise<string> {
  const files = ['--kubeconfig', cluster.kubeconfig, '--cache-dir', join(cluster.dir, 'kubectl-cache')];
  return run(cluster.paths('kubectl'), [...files, ...args], options);
}

type Paths = Cluster['paths'];

async function start(options: ClusterOptions, paths: Paths): Promise<Cluster> {
  const { dir, signal, onProgress } = options;
  onProgress('making the networks');
  const cluster = describeCluster(dir, await makeNetwork(dir, signal), paths);
  const { network } = cluster;
  const place = { dir, instance: cluster.instance, networkNamespace: network.nodeNamespace, signal };
  await createCgroups(cluster.instance);
  await createNodeMounts(cluster, signal);
  onProgress('starting the control plane and the node');
  const images = makeTestImages({ dir: join(dir, 'images'), coreDns: paths('coredns'), signal });
  const server = startClusterApiServer(cluster, signal);
  await startNode({ place, paths, nodeName, plan: network, images, server });
  await startScheduler({ ...(await server), file: paths('kube-scheduler'), lifetime: 'Detached', signal });
  await waitUntilNodeReady(cluster, signal);
  onProgress('the node is ready; starting the name server');
  await startCoreDns(cluster, signal);
  markComplete(dir);
  return cluster;
}

async function makeNetwork(dir: string, signal: AbortSignal): Promise<NetworkPlan> {
  return withLock(join(cacheDirectory(), 'network.lock'), signal, async () => {
    const plan = chooseNetworkPlan(instanceOf(dir));
    writeClusterRecord(dir, { slot: plan.slot, complete: false });
    await createNetwork(plan, signal);
    return plan;
  });
}

function startClusterApiServer(cluster: Cluster, signal: AbortSignal): Promise<ApiServer> {
  const { hostAddress, serviceCidr, podCidr } = cluster.network;
  return startApiServer({
    dir: cluster.dir,
    signal,
    listen: { address: hostAddress, port: 6443 },
    controllerManager: true,
    lifetime: 'Detached',
    serviceCidr,
    podCidr,
  });
}

const nodeSchema = z.object({
  status: z.object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]) }),
});

/** Resolves when the kubelet says so; `name` may be another node of the cluster. */
export async function waitUntilNodeReady(cluster: Cluster, signal: AbortSignal, name = nodeName): Promise<void> {
  const isReady = async () => {
    const text = await kubectl(cluster, ['get', 'node', name, '-o', 'json'], { signal });
    const { conditions } = nodeSchema.parse(JSON.parse(text)).status;
    return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
  };
  await waitFor(`${name} is Ready`, isReady, { signal, timeoutMs: readyTimeoutMs, intervalMs: 200 });
}

async function startCoreDns(cluster: Cluster, signal: AbortSignal): Promise<void> {
  const input = JSON.stringify(coreDnsManifest(cluster.network.dnsAddress));
  await kubectl(cluster, ['apply', '-f', '-'], { signal, input });
  const rollout = ['rollout', 'status', 'deployment/coredns', '-n', 'kube-system', '--timeout=90s'];
  await kubectl(cluster, rollout, { signal });
}

function runningCluster(dir: string, paths: Paths): Cluster | undefined {
  const record = readClusterRecord(dir);
  if (record?.complete !== true) return undefined;
  if (recordedDaemons(dir).some((name) => findDaemon(dir, name) === undefined)) return undefined;
  return describeCluster(dir, networkPlanFor(instanceOf(dir), record.slot), paths);
}

function markComplete(dir: string): void {
  const record = readClusterRecord(dir);
  if (record !== undefined) writeClusterRecord(dir, { ...record, complete: true });
}

function describeCluster(dir: string, network: NetworkPlan, paths: Paths): Cluster {
  const instance = instanceOf(dir);
  return {
    dir,
    instance,
    kubeconfig: join(dir, 'admin.kubeconfig'),
    containerdAddress: containerdAddress(instance),
    nriSocket: join(sharedRunFolder(instance), 'nri', 'nri.sock'),
    nodeName,
    network,
    nodeNamespace: namespacePath(network.nodeNamespace),
    outsideNamespace: namespacePath(network.outsideNamespace),
    paths,
  };
}
