import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { compilerFlags, objectNameFor } from '../../../src/linux/spread/object-name.ts';
import { run } from './command.ts';
import { ensureRequirements, type Progress, spreadRequirements } from './debian.ts';
import { cacheDirectory } from './environment.ts';

const sources = join(import.meta.dirname, '../../../src/linux/spread');
// Debian keeps <asm/types.h> in the folder of an architecture, and clang does not look there for the target bpf.
const architectures: Readonly<Record<string, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

export const clangArguments = (): readonly string[] => [
  ...compilerFlags,
  `-I/usr/include/${architectures[process.arch] ?? process.arch}`,
];

/** The compiled spread.bpf.c, built where its source has changed. Throws LabError MissingProgram or CommandFailed. */
export async function ensureSpreadObject(progress: Progress): Promise<string> {
  const directory = join(cacheDirectory(), 'spread');
  const target = join(directory, objectNameFor(sources));
  if (existsSync(target)) return target;
  await ensureRequirements(spreadRequirements, progress);
  await mkdir(directory, { recursive: true });
  const scratch = await mkdtemp(join(directory, '.build-'));
  try {
    const output = join(scratch, 'spread.bpf.o');
    await run('clang', [...clangArguments(), '-c', join(sources, 'spread.bpf.c'), '-o', output], progress);
    await rename(output, target);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  progress.onProgress(`built ${target}`);
  return target;
}
