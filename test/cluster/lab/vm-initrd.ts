import { chmod, copyFile, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { run } from './command.ts';
import { initialRamScript } from './vm-init.ts';
import type { VmKernel } from './vm-kernel.ts';

const diskModules = /^(virtio|virtio_ring|virtio_pci|virtio_pci_modern_dev|virtio_pci_legacy_dev|virtio_blk)\.ko$/;

/** The initial RAM disk that mounts /dev/vda; gives its path. */
export async function makeInitialRamDisk(dir: string, kernel: VmKernel, signal: AbortSignal): Promise<string> {
  const root = join(dir, 'initrd');
  const output = join(dir, 'initrd.img');
  await rm(root, { recursive: true, force: true });
  for (const folder of ['bin', 'dev', 'mnt']) await mkdir(join(root, folder), { recursive: true });
  await copyFile('/bin/busybox', join(root, 'bin', 'busybox'));
  const files = await readdir(kernel.modules, { recursive: true });
  const modules = files.filter((file) => diskModules.test(basename(file)));
  for (const file of modules) await copyFile(join(kernel.modules, file), join(root, basename(file)));
  await writeFile(join(root, 'init'), initialRamScript);
  await chmod(join(root, 'init'), 0o755);
  const members = (await readdir(root, { recursive: true })).join('\n');
  await run('cpio', ['-o', '-H', 'newc', '--quiet', '-F', output], { signal, cwd: root, input: members });
  await rm(root, { recursive: true });
  return output;
}
