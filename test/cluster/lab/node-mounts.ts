import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { claimMachine, sharedRunFolder } from './machine.ts';
import { startDaemon, findDaemon } from './process.ts';
import { waitFor } from './wait.ts';

/**
 * The node has a mount namespace of its own, in which the folders that Kubernetes uses by default belong to this cluster:
 * pods, agents and charts find everything where they do on any node, the machine's own folders are untouched, several
 * clusters fit side by side, and every mount ends with the namespace.
 */
const ownFolders = [
  '/etc/cni',
  '/opt/cni',
  '/opt/containerd',
  '/opt/nri',
  '/etc/nri',
  '/var/lib/cni',
  '/var/lib/containerd',
  '/var/lib/kubelet',
  '/var/log/containers',
  '/var/log/pods',
];

export type NodeMounts = {
  readonly dir: string;
  readonly instance: string;
};

const holderName = 'node-mounts';

/** Where a folder of the node's lies on the machine. */
export function nodeFolder(dir: string, path: string): string {
  return join(dir, 'node', path);
}

/** Makes the mount namespace and a process that keeps it. */
export async function createNodeMounts({ dir, instance }: NodeMounts, signal: AbortSignal): Promise<void> {
  const shared = sharedRunFolder(instance);
  for (const folder of ownFolders) mkdirSync(nodeFolder(dir, folder), { recursive: true });
  await claimMachine(instance, ownFolders, signal);
  mkdirSync(join(shared, 'nri'), { recursive: true });
  const stage = nodeFolder(dir, '/run');
  mkdirSync(stage, { recursive: true });
  const script = mountScript({ stage, shared, instance, dir });
  const args = ['--mount', '--propagation', 'private', '--', 'sh', '-euc', script];
  await startDaemon(dir, { name: holderName, file: 'unshare', args, lifetime: 'Detached' });
  const isMounted = () => Promise.resolve(existsSync(join(shared, 'mounted')));
  await waitFor("the node's mounts", isMounted, { signal, timeoutMs: 10_000 });
}

/** The node's mount namespace as nsenter(1) takes it. */
export function mountNamespacePath(dir: string): string {
  return `/proc/${findDaemon(dir, holderName)?.pid ?? 0}/ns/mnt`;
}

type MountScript = {
  readonly stage: string;
  readonly shared: string;
  readonly instance: string;
  readonly dir: string;
};

function mountScript({ stage, shared, instance, dir }: MountScript): string {
  const binds = ownFolders.map((folder) => `mount --bind '${nodeFolder(dir, folder)}' '${folder}'`);
  return [
    `mount -t tmpfs -o mode=755 tmpfs '${stage}'`,
    `mkdir -p '${stage}/${instance}' '${stage}/netns' '${stage}/nri' '${stage}/lock'`,
    `mount --bind '${shared}' '${stage}/${instance}'`,
    `mount --bind '${shared}/nri' '${stage}/nri'`,
    `mount --rbind '${stage}' /run`,
    ...binds,
    'mount --make-rshared /',
    `touch '${shared}/mounted'`,
    'exec sleep infinity',
  ].join('\n');
}
