import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
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

/** Seen alike by the machine and the node: sockets of containerd and NRI. */
export function sharedRunFolder(instance: string): string {
  return `/run/${instance}`;
}

/** Where a folder of the node's lies on the machine. */
export function nodeFolder(dir: string, path: string): string {
  return join(dir, 'node', path);
}

/** Makes the mount namespace and a process that keeps it. */
export async function createNodeMounts({ dir, instance }: NodeMounts, signal: AbortSignal): Promise<void> {
  const shared = sharedRunFolder(instance);
  for (const folder of ownFolders) mkdirSync(nodeFolder(dir, folder), { recursive: true });
  makeMountPoints(dir);
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

/** Removes the mount points that createNodeMounts had to make on the machine. Call it when the namespace is gone. */
export function removeMountPoints(dir: string): void {
  for (const folder of readCreated(dir).toReversed()) {
    try {
      rmdirSync(folder);
    } catch {
      // Somebody else uses it by now, or it is gone.
    }
  }
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

function makeMountPoints(dir: string): void {
  const created = [...readCreated(dir)];
  for (const folder of ownFolders) {
    const missing = missingParents(folder);
    created.push(...missing);
    writeFileSync(createdFile(dir), JSON.stringify(created));
    for (const path of missing) mkdirSync(path);
  }
}

/** /opt/cni where only / exists → ['/opt', '/opt/cni'] */
function missingParents(folder: string): readonly string[] {
  return existsSync(folder) ? [] : [...missingParents(dirname(folder)), folder];
}

function readCreated(dir: string): readonly string[] {
  const file = createdFile(dir);
  return existsSync(file) ? parseFolders(readFileSync(file, 'utf8')) : [];
}

function parseFolders(text: string): readonly string[] {
  const value: unknown = JSON.parse(text);
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function createdFile(dir: string): string {
  return join(dir, 'created-folders.json');
}
