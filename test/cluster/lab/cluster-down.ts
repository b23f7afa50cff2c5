import { rm } from 'node:fs/promises';
import { stopControlPlane } from './api-server.ts';
import { withLock } from './build-lock.ts';
import { removeCgroups } from './cgroups.ts';
import { instanceOf, readClusterRecord } from './cluster-record.ts';
import { containerdAddress } from './containerd.ts';
import type { Progress } from './debian.ts';
import { releaseMachine } from './machine.ts';
import { removeNetwork } from './network.ts';
import { networkPlanFor } from './network-plan.ts';
import { recordedDaemons, stopDaemon } from './process.ts';
import { stopShims } from './shims.ts';

export type ClusterDownOptions = Progress & { readonly dir: string };

/** Takes a cluster away, whole or half-made, from any process; its folder goes too. None there is no error. */
export async function clusterDown(options: ClusterDownOptions): Promise<void> {
  await withLock(`${options.dir}.lock`, options.signal, () => removeCluster(options.dir, options));
}

/** clusterDown for who holds the cluster's lock already. */
export async function removeCluster(dir: string, { signal, onProgress }: Progress): Promise<void> {
  const record = readClusterRecord(dir);
  if (record === undefined) return;
  onProgress('removing the cluster');
  const instance = instanceOf(dir);
  await stopNode(dir, instance);
  await stopControlPlane(dir);
  for (const name of recordedDaemons(dir)) await stopDaemon(dir, name, 0);
  await removeNetwork(networkPlanFor(instance, record.slot), signal);
  await releaseMachine(instance, signal);
  await rm(dir, { recursive: true, force: true });
}

/** First who would start containers anew, then the shims, then what runs in the containers. */
async function stopNode(dir: string, instance: string): Promise<void> {
  await Promise.all(['vm', 'kubelet', 'kube-proxy'].map((name) => stopDaemon(dir, name, 2000)));
  await stopDaemon(dir, 'containerd', 2000);
  await stopShims(containerdAddress(instance));
  await removeCgroups(instance);
}
