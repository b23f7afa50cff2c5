import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import {
  chmod,
  constants,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { cacheDirectory } from '../test/cluster/lab/environment.ts';
import { writeImageArchive } from './image-archive.ts';
import { checkout, type Program } from './bundle.ts';
import { imageContents, type ImageFile, programs } from './image-contents.ts';

export type Image = {
  /** As a pod names it; its tag is the version and the first 12 digits of the hash of everything inside. */
  readonly reference: string;
  /** The docker-archive. */
  readonly archive: string;
  readonly wasBuilt: boolean;
};

export type ImageOptions = {
  readonly signal: AbortSignal;
  readonly onProgress: (message: string) => void;
  /** Default: all that there are. */
  readonly programs?: readonly Program[];
  /** Where archives are kept, default: image in the cache directory. */
  readonly directory?: string;
};

const archivesKept = 3;
const name = 'connectionbudget.io/connection-budget';
const configuration = {
  entrypoint: ['/node'],
  cmd: ['/app/connection-budget.js'],
  env: { NODE_ENV: 'production', PATH: '/' },
  workingDirectory: '/app',
  user: '65532:65532',
} as const;

/**
 * Gives the image of this checkout, built only when something inside of it changed: equal content has an equal tag, and
 * its archive is there already. Throws when a program does not exist or does not bundle.
 */
export async function ensureImage(options: ImageOptions): Promise<Image> {
  const { signal, onProgress } = options;
  const directory = options.directory ?? join(cacheDirectory(), 'image');
  onProgress('bundling');
  const files = await imageContents(options.programs ?? programs, signal);
  const tag = `${await readVersion()}-${(await hashOf(files, signal)).slice(0, 12)}`;
  const reference = `${name}:${tag}`;
  const archive = join(directory, `connection-budget-${tag}.tar`);
  if (existsSync(archive)) {
    onProgress('nothing changed since it was built');
    return { reference, archive, wasBuilt: false };
  }
  await mkdir(directory, { recursive: true });
  onProgress(`writing ${files.length} files`);
  await writeArchive({ files, reference, archive }, signal);
  await removeOlder(directory);
  return { reference, archive, wasBuilt: true };
}

type Writing = { readonly files: readonly ImageFile[]; readonly reference: string; readonly archive: string };

async function writeArchive({ files, reference, archive }: Writing, signal: AbortSignal): Promise<void> {
  const rootfs = await mkdtemp(join(dirname(archive), '.rootfs-'));
  try {
    await writeRootfs(files, rootfs, signal);
    await writeImageArchive({ ...configuration, reference, rootfs, output: archive, signal });
  } finally {
    await rm(rootfs, { recursive: true, force: true });
  }
}

/** An archive has 134 MB, and every change of the source makes another one. */
async function removeOlder(directory: string): Promise<void> {
  const names = (await readdir(directory)).filter((file) => /^connection-budget-.*\.tar$/.test(file));
  const paths = names.map((file) => join(directory, file));
  const dated = await Promise.all(paths.map(async (path) => ({ path, writtenMs: (await stat(path)).mtimeMs })));
  const older = dated.toSorted((a, b) => b.writtenMs - a.writtenMs).slice(archivesKept);
  await Promise.all(older.map(({ path }) => rm(path, { force: true })));
}

/** Modes are set, not asked for: they must not depend on the umask of whoever builds. */
export async function writeRootfs(files: readonly ImageFile[], rootfs: string, signal: AbortSignal): Promise<void> {
  await chmod(rootfs, 0o755);
  for (const file of files) {
    signal.throwIfAborted();
    await makeFolders(rootfs, dirname(file.path));
    await writeEntry(file, rootfs);
  }
}

async function writeEntry({ path, mode, content }: ImageFile, rootfs: string): Promise<void> {
  const target = join(rootfs, path);
  switch (content.kind) {
    case 'Folder':
      return makeFolders(rootfs, path);
    case 'Link':
      return symlink(content.target, target);
    case 'Bytes':
      await writeFile(target, content.bytes);
      return chmod(target, mode);
    case 'Copy':
      await copyFile(content.source, target, constants.COPYFILE_FICLONE);
      return chmod(target, mode);
  }
}

async function makeFolders(rootfs: string, folder: string): Promise<void> {
  if (folder === '.') return;
  await makeFolders(rootfs, dirname(folder));
  await mkdir(join(rootfs, folder), { recursive: true });
  await chmod(join(rootfs, folder), 0o755);
}

async function readVersion(): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8'));
  const { version } = manifest as { readonly version: string };
  return version;
}

/** Over paths, modes, bytes and the image's configuration, each file on a line of its own. */
async function hashOf(files: readonly ImageFile[], signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(configuration));
  for (const { path, mode, content } of files) {
    hash.update(`\n${await digestOf(content, signal)} ${mode.toString(8)} ${path}`);
  }
  return hash.digest('hex');
}

async function digestOf(content: ImageFile['content'], signal: AbortSignal): Promise<string> {
  if (content.kind === 'Folder') return 'folder';
  if (content.kind === 'Link') return `link to ${content.target}`;
  if (content.kind === 'Copy') return digestOfFile(content.source, signal);
  return createHash('sha256').update(content.bytes).digest('hex');
}

async function digestOfFile(file: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash, { signal });
  return hash.digest('hex');
}
