import { chmod, copyFile, cp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ComponentPaths } from './build.ts';
import { run } from './command.ts';
import type { nodeComponents } from './components.ts';
import { writeCniConfig } from './containerd.ts';
import { initScript } from './vm-init.ts';
import type { VmKernel } from './vm-kernel.ts';

export type VmRootOptions = {
  /** Scratch space; the disk is written here as disk.img. */
  readonly dir: string;
  readonly paths: ComponentPaths<(typeof nodeComponents)[number]>;
  readonly kernel: VmKernel;
  readonly archives: readonly string[];
  /** Where each file of the node's identity and settings comes from, by its name in /etc/node. */
  readonly nodeFiles: Readonly<Record<string, string>>;
  readonly node: { readonly name: string; readonly address: string; readonly gateway: string; readonly range: string };
  readonly signal: AbortSignal;
};

const programs = ['containerd', 'containerd-shim-runc-v2', 'ctr', 'runc', 'kubelet'] as const;
const plugins = ['bridge', 'host-local', 'loopback', 'macvlan', 'portmap', 'sbr', 'static'] as const;
const mountPoints = [
  'proc',
  'sys',
  'dev',
  'run',
  'tmp',
  'root',
  'lib64',
  'var/log',
  'opt/nri/plugins',
  'etc/nri/conf.d',
];
const diskSize = '4G';

/** Makes a disk that boots into a Kubernetes node; gives its path. */
export async function makeVmDisk(options: VmRootOptions): Promise<string> {
  const { dir, signal } = options;
  const root = join(dir, 'root');
  const disk = join(dir, 'disk.img');
  await rm(root, { recursive: true, force: true });
  for (const folder of mountPoints) await mkdir(join(root, folder), { recursive: true });
  await symlink('../run', join(root, 'var', 'run'));
  await installBusybox(root, signal);
  await installPrograms(root, options);
  await installNode(root, options);
  await cp(options.kernel.modules, join(root, 'lib', 'modules', options.kernel.release), { recursive: true });
  await run('depmod', ['-b', root, options.kernel.release], { signal });
  await run('truncate', ['-s', diskSize, disk], { signal });
  await run('mkfs.ext4', ['-q', '-F', '-d', root, disk], { signal });
  await rm(root, { recursive: true });
  return disk;
}

async function installBusybox(root: string, signal: AbortSignal): Promise<void> {
  const bin = join(root, 'bin');
  await mkdir(bin);
  await copyFile('/bin/busybox', join(bin, 'busybox'));
  const applets = (await run('/bin/busybox', ['--list'], { signal })).trim().split('\n');
  // The kubelet needs the mount(8) of util-linux.
  const linked = applets.filter((name) => !['busybox', 'mount', 'umount'].includes(name));
  await Promise.all(linked.map((name) => symlink('/bin/busybox', join(bin, name))));
  for (const program of ['/bin/mount', '/bin/umount']) {
    await copyFile(program, join(root, program));
    await copyLibraries(root, program, signal);
  }
}

async function installPrograms(root: string, { paths, signal }: VmRootOptions): Promise<void> {
  const bin = join(root, 'usr', 'local', 'bin');
  await mkdir(bin, { recursive: true });
  for (const name of programs) await copyFile(paths(name), join(bin, name));
  await copyLibraries(root, paths('runc'), signal);
  const folder = join(root, 'opt', 'cni', 'bin');
  await mkdir(folder, { recursive: true });
  for (const name of plugins) await copyFile(paths(name), join(folder, name));
}

/** The shared libraries and the loader that ldd(1) lists for a program. */
async function copyLibraries(root: string, program: string, signal: AbortSignal): Promise<void> {
  const listed = await run('ldd', [program], { signal });
  for (const [library] of listed.matchAll(/\/\S+/g)) {
    await mkdir(dirname(join(root, library)), { recursive: true });
    await copyFile(library, join(root, library));
  }
}

async function installNode(root: string, options: VmRootOptions): Promise<void> {
  const { node, archives, nodeFiles } = options;
  const etc = join(root, 'etc');
  const texts = {
    passwd: 'root:x:0:0:root:/root:/bin/sh\n',
    group: 'root:x:0:\n',
    hosts: `127.0.0.1 localhost ${node.name}\n`,
    'resolv.conf': '',
    'os-release': 'ID=debian\nPRETTY_NAME="Debian in a virtual machine"\n',
    'machine-id': `${'0'.repeat(31)}1\n`,
  };
  for (const [name, text] of Object.entries(texts)) await writeFile(join(etc, name), text);
  await mkdir(join(etc, 'node'));
  for (const [name, source] of Object.entries(nodeFiles)) await copyFile(source, join(etc, 'node', name));
  await writeCniConfig(join(etc, 'cni', 'net.d'), node.range);
  await mkdir(join(root, 'images'));
  for (const archive of archives) await copyFile(archive, join(root, 'images', basename(archive)));
  await mkdir(join(root, 'sbin'), { recursive: true });
  await writeFile(join(root, 'sbin', 'init'), initScript(node));
  await chmod(join(root, 'sbin', 'init'), 0o755);
}
