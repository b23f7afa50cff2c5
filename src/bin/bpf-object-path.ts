import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { type BpfProgram, objectNameFor } from '../linux/bpf-object-name.ts';

/** Where a compiled NAME.bpf.c is: beside the bundle in an image, else where a checkout's build keeps it. */
export const bpfObjectPath = (program: BpfProgram): string => {
  const bundled = fileURLToPath(new URL(`./${program}.bpf.o`, import.meta.url));
  const sources = fileURLToPath(new URL(`../linux/${program}`, import.meta.url));
  if (existsSync(bundled) || !existsSync(sources)) return bundled;
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return join(cache, 'connection-budget', 'bpf', objectNameFor(program, sources));
};
