import { copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeImageArchive } from '../../../deploy/image-archive.ts';
import { run } from './command.ts';

/** An image's name and the archive that holds it. */
export type TestImage = { readonly reference: string; readonly archive: string };

/** What pods of a test run to hold connections and be asked about them: see probe/connprobe.c. */
export const probeReference = 'connection-budget.test/connprobe:1';
export const coreDnsReference = 'connection-budget.test/coredns:1';

// containerd 2.4's default (config.toml, pinned_images.sandbox): not configured, so that ours is like everybody's.
const pauseReference = 'registry.k8s.io/pause:3.10.2';
const probeSources = ['connprobe.c', 'listen.c', 'connect.c', 'open.c', 'report.c'];
const sourceFolder = join(import.meta.dirname, '..', 'probe');

export type ImageOptions = { readonly dir: string; readonly coreDns: string; readonly signal: AbortSignal };

/** Makes the images of a cluster from our sources and the CoreDNS built here; no registry takes part. */
export async function makeTestImages({ dir, coreDns, signal }: ImageOptions): Promise<readonly TestImage[]> {
  await mkdir(dir, { recursive: true });
  return Promise.all([
    makeProgramImage({ name: 'pause', reference: pauseReference, dir, signal }, (file) =>
      compile(['pause.c'], file, signal),
    ),
    makeProgramImage({ name: 'connprobe', reference: probeReference, dir, signal }, (file) =>
      compile(probeSources, file, signal),
    ),
    makeProgramImage({ name: 'coredns', reference: coreDnsReference, dir, signal }, (file) => copyFile(coreDns, file)),
  ]);
}

type ProgramImage = {
  readonly name: string;
  readonly reference: string;
  readonly dir: string;
  readonly signal: AbortSignal;
};

async function makeProgramImage(image: ProgramImage, place: (file: string) => Promise<void>): Promise<TestImage> {
  const { name, reference, dir, signal } = image;
  const rootfs = join(dir, `${name}.rootfs`);
  const archive = join(dir, `${name}.tar`);
  await mkdir(rootfs, { recursive: true });
  await place(join(rootfs, name));
  await writeImageArchive({ reference, rootfs, entrypoint: [`/${name}`], output: archive, signal });
  await rm(rootfs, { recursive: true });
  return { reference, archive };
}

/** A static program needs nothing else in its image. */
async function compile(sources: readonly string[], output: string, signal: AbortSignal): Promise<void> {
  const files = sources.map((source) => join(sourceFolder, source));
  await run('gcc', ['-std=gnu17', '-O2', '-static', '-s', '-o', output, ...files], { signal });
}
