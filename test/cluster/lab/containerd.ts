import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ComponentPaths } from './build.ts';
import { run, succeeds } from './command.ts';
import type { TestImage } from './images.ts';
import { namespacePath } from './network.ts';
import { sharedRunFolder } from './machine.ts';
import { mountNamespacePath } from './node-mounts.ts';
import { assertRunning, startDaemon } from './process.ts';
import { waitFor } from './wait.ts';

export type NodePlace = {
  readonly dir: string;
  readonly instance: string;
  readonly networkNamespace: string;
  readonly signal: AbortSignal;
};

// What containers inherit on a node with systemd and containerd 2: 1024 (select(2) breaks above it).
const softDescriptors = 1024;

export function containerdAddress(instance: string): string {
  return join(sharedRunFolder(instance), 'containerd.sock');
}

/** The command that runs a program within the node's network and mount namespaces. */
export function onNode(place: NodePlace, command: readonly string[]): readonly string[] {
  const mounts = `--mount=${mountNamespacePath(place.dir)}`;
  return ['nsenter', `--net=${namespacePath(place.networkNamespace)}`, mounts, '--', ...command];
}

export async function startContainerd(
  place: NodePlace,
  paths: ComponentPaths<'containerd' | 'ctr' | 'runc'>,
): Promise<void> {
  const config = join(place.dir, 'containerd.toml');
  await writeFile(config, containerdConfig(containerdAddress(place.instance), paths('runc')));
  const limits = ['prlimit', `--nofile=${softDescriptors}:${await hardDescriptors()}`, '--'];
  const command = onNode(place, [...limits, paths('containerd'), '--config', config]);
  const environment = { PATH: `${dirname(paths('containerd'))}:${process.env['PATH'] ?? ''}` };
  await startDaemon(place.dir, { name: 'containerd', ...splitCommand(command), lifetime: 'Detached', environment });
  await waitFor('containerd answers', () => answers(place, paths('ctr')), {
    signal: place.signal,
    timeoutMs: 30_000,
  });
}

/** Gives the node an image; pods that use it need imagePullPolicy Never or IfNotPresent. */
export async function importImage(ctr: string, address: string, options: ImportOptions): Promise<void> {
  // The CRI plugin only sees images with this label.
  const label = ['--label', 'io.cri-containerd.image=managed'];
  await run(ctr, ['-a', address, '-n', 'k8s.io', 'images', 'import', ...label, options.archive], options);
}

export type ImportOptions = Pick<TestImage, 'archive'> & { readonly signal: AbortSignal };

export function splitCommand(command: readonly string[]): { readonly file: string; readonly args: readonly string[] } {
  const [file = '', ...args] = command;
  return { file, args };
}

/** A network of the default kind: a bridge, the node's pod range by host-local, port mappings. */
export async function writeCniConfig(folder: string, podRange: string): Promise<void> {
  const ipam = { type: 'host-local', ranges: [[{ subnet: podRange }]], routes: [{ dst: '0.0.0.0/0' }] };
  const bridge = { type: 'bridge', bridge: 'cni0', isGateway: true, ipMasq: false, hairpinMode: true, ipam };
  const portmap = { type: 'portmap', capabilities: { portMappings: true }, snat: true };
  const config = { cniVersion: '1.0.0', name: 'pods', plugins: [bridge, portmap] };
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, '10-pods.conflist'), JSON.stringify(config, undefined, 2));
}

async function answers(place: NodePlace, ctr: string): Promise<boolean> {
  assertRunning(place.dir, 'containerd');
  return succeeds(ctr, ['-a', containerdAddress(place.instance), 'version'], { signal: place.signal });
}

/** As far as this machine lets processes go: raising a hard limit needs CAP_SYS_RESOURCE, which containers may lack. */
async function hardDescriptors(): Promise<string> {
  const limits = await readFile('/proc/self/limits', 'utf8');
  return /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1] ?? String(softDescriptors);
}

// restrict_oom_score_adj: without CAP_SYS_RESOURCE the pause container's -998 cannot be written.
// disable_apparmor: the profile cannot be loaded from within a container.
function containerdConfig(address: string, runc: string): string {
  return `version = 4
imports = []
[plugins.'io.containerd.server.v1.grpc']
  address = '${address}'
[plugins.'io.containerd.server.v1.ttrpc']
  address = '${address}.ttrpc'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = '${runc}'
      SystemdCgroup = false
`;
}
