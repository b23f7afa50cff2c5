import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type BpfProgram, bpfPrograms, compilerFlags, objectNameFor } from '../../../src/linux/bpf-object-name.ts';
import { run } from './command.ts';
import { bpfRequirements, ensureRequirements, type Progress } from './debian.ts';
import { cacheDirectory } from './environment.ts';

// Debian keeps <asm/types.h> in the folder of an architecture, and clang does not look there for the target bpf.
const architectures: Readonly<Record<string, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

export const clangArguments = (): readonly string[] => [
  ...compilerFlags,
  `-I/usr/include/${architectures[process.arch] ?? process.arch}`,
];

/** A compiled NAME.bpf.c, built where its source has changed. Throws LabError MissingProgram or CommandFailed. */
export async function ensureBpfObject(program: BpfProgram, progress: Progress): Promise<string> {
  const sources = join(import.meta.dirname, '../../../src/linux', program);
  const directory = join(cacheDirectory(), 'bpf');
  const target = join(directory, objectNameFor(program, sources));
  if (existsSync(target)) return target;
  await ensureRequirements(bpfRequirements, progress);
  await mkdir(directory, { recursive: true });
  const scratch = await mkdtemp(join(directory, '.build-'));
  try {
    const output = join(scratch, `${program}.bpf.o`);
    await run('clang', [...clangArguments(), '-c', join(sources, `${program}.bpf.c`), '-o', output], progress);
    await rename(output, target);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  progress.onProgress(`built ${target}`);
  return target;
}

export async function ensureBpfObjects(progress: Progress): Promise<void> {
  for (const program of bpfPrograms) await ensureBpfObject(program, progress);
}
