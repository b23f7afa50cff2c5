import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** v3: atomic operations that return what was there (kernel 5.12). -g: the types by which the kernel's own are found. */
export const compilerFlags = ['-O2', '-g', '-Wall', '-Werror', '-target', 'bpf', '-mcpu=v3'] as const;

/** Each is compiled from NAME.bpf.c in the folder NAME beside this file. */
export const bpfPrograms = ['spread', 'flows'] as const;
export type BpfProgram = (typeof bpfPrograms)[number];

/** The name of the compiled program: another source or other flags have another one. `folder` is that of the sources. */
export function objectNameFor(program: BpfProgram, folder: string): string {
  const hash = createHash('sha256').update(compilerFlags.join(' '));
  const sources = readdirSync(folder).filter((file) => /\.bpf\.[ch]$/.test(file));
  for (const source of sources.toSorted()) hash.update(readFileSync(join(folder, source)));
  return `${program}-${hash.digest('hex').slice(0, 12)}.bpf.o`;
}
