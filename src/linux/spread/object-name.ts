import { createHash } from 'node:crypto';

/** v3: atomic operations that return what was there (kernel 5.12). -g: the types by which the kernel's own are found. */
export const compilerFlags = ['-O2', '-g', '-Wall', '-Werror', '-target', 'bpf', '-mcpu=v3'] as const;

/** The name of the compiled spread.bpf.c: another source or other flags have another one. */
export function objectNameFor(source: Uint8Array): string {
  const hash = createHash('sha256').update(compilerFlags.join(' ')).update(source).digest('hex');
  return `spread-${hash.slice(0, 12)}.bpf.o`;
}
