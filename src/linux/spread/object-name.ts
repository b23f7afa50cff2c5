import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** v3: atomic operations that return what was there (kernel 5.12). -g: the types by which the kernel's own are found. */
export const compilerFlags = ['-O2', '-g', '-Wall', '-Werror', '-target', 'bpf', '-mcpu=v3'] as const;

/** spread.bpf.c and what it includes of ours, in this folder. */
const sources = ['spread.bpf.c', 'spread-maps.bpf.h'] as const;

/** The name of the compiled program: another source or other flags have another one. `folder` is that of the sources. */
export function objectNameFor(folder: string): string {
  const hash = createHash('sha256').update(compilerFlags.join(' '));
  for (const source of sources) hash.update(readFileSync(join(folder, source)));
  return `spread-${hash.digest('hex').slice(0, 12)}.bpf.o`;
}
