import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './command.ts';
import { cacheDirectory } from './environment.ts';
import { LabError } from './lab-error.ts';

export type VmKernel = { readonly image: string; readonly modules: string; readonly release: string };

/** Debian's kernel for clouds, unpacked into the cache and not installed; downloaded once per version. */
export async function ensureVmKernel(signal: AbortSignal): Promise<VmKernel> {
  const folder = join(cacheDirectory(), await kernelPackage(signal));
  if (!existsSync(folder)) await unpackKernel(folder, signal);
  const [release = ''] = await readdir(join(folder, 'lib', 'modules'));
  return {
    image: join(folder, 'boot', `vmlinuz-${release}`),
    modules: join(folder, 'lib', 'modules', release),
    release,
  };
}

/** The package that the metapackage stands for: linux-image-6.1.0-56-cloud-amd64 */
async function kernelPackage(signal: AbortSignal): Promise<string> {
  const text = await run('apt-cache', ['depends', 'linux-image-cloud-amd64'], { signal });
  const name = /Depends: (linux-image-\S+)/.exec(text)?.[1];
  if (name === undefined) throw new LabError('MissingProgram', "Debian's linux-image-cloud-amd64 is needed");
  return name;
}

async function unpackKernel(folder: string, signal: AbortSignal): Promise<void> {
  await mkdir(cacheDirectory(), { recursive: true });
  const scratch = await mkdtemp(join(cacheDirectory(), '.kernel-'));
  try {
    // Not as the user _apt, who may not write here.
    const options = ['-o', 'APT::Sandbox::User=root'];
    await run('apt-get', ['download', '-qq', ...options, folder.slice(cacheDirectory().length + 1)], {
      signal,
      cwd: scratch,
    });
    const [archive = ''] = await readdir(scratch);
    await run('dpkg-deb', ['-x', archive, 'root'], { signal, cwd: scratch });
    await rename(join(scratch, 'root'), folder);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
