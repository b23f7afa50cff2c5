import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';

export type ImageArchiveOptions = {
  /** As a pod names it: registry.example/name:tag. */
  readonly reference: string;
  /** The folder that becomes the image's only layer, owned by root. */
  readonly rootfs: string;
  readonly entrypoint: readonly string[];
  readonly cmd?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly workingDirectory?: string;
  /** "UID" or "UID:GID". Default: root. */
  readonly user?: string;
  /** The archive to write; it appears complete or not at all. */
  readonly output: string;
  readonly signal: AbortSignal;
};

export type ImageArchive = {
  /** The image's id: "sha256:" and the digest of its configuration. Equal content gives an equal id. */
  readonly id: string;
};

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const epoch = '1970-01-01T00:00:00Z';
const deterministic = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--format=gnu'];
const execute = promisify(execFile);

/**
 * Writes an image as the archive that `docker save` makes and `ctr images import` and `docker load` take: manifest.json,
 * the image's configuration and one layer (moby, image/spec/spec.md). Needs no daemon, only tar(1).
 */
export async function writeImageArchive(options: ImageArchiveOptions): Promise<ImageArchive> {
  const { signal } = options;
  const scratch = await mkdtemp(join(dirname(options.output), '.image-'));
  try {
    const layer = join(scratch, 'layer.tar');
    await execute('tar', [...deterministic, '-C', options.rootfs, '-cf', layer, '.'], { signal });
    const config = JSON.stringify(imageConfig(options, await digestOf(layer, signal)));
    const manifest = [{ Config: 'config.json', RepoTags: [options.reference], Layers: ['layer.tar'] }];
    await writeFile(join(scratch, 'config.json'), config);
    await writeFile(join(scratch, 'manifest.json'), JSON.stringify(manifest));
    const members = ['manifest.json', 'config.json', 'layer.tar'];
    const archive = join(scratch, 'archive.tar');
    await execute('tar', [...deterministic, '-C', scratch, '-cf', archive, ...members], { signal });
    await rename(archive, options.output);
    return { id: `sha256:${createHash('sha256').update(config).digest('hex')}` };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function imageConfig(options: ImageArchiveOptions, layerDigest: string): object {
  const environment = { PATH: defaultPath, ...options.env };
  return {
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    created: epoch,
    config: {
      Env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
      Entrypoint: options.entrypoint,
      Cmd: options.cmd ?? [],
      WorkingDir: options.workingDirectory ?? '/',
      User: options.user ?? '',
    },
    rootfs: { type: 'layers', diff_ids: [layerDigest] },
    history: [{ created: epoch, created_by: 'deploy/image-archive.ts' }],
  };
}

async function digestOf(file: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash, { signal });
  return `sha256:${hash.digest('hex')}`;
}
