import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { objectNameFor } from '../linux/spread/object-name.ts';

/** Where the compiled spread.bpf.c is: beside the bundle in an image, else where a checkout's build keeps it. */
export const spreadObjectPath = (): string => {
  const bundled = fileURLToPath(new URL('./spread.bpf.o', import.meta.url));
  const sources = fileURLToPath(new URL('../linux/spread', import.meta.url));
  if (existsSync(bundled) || !existsSync(sources)) return bundled;
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return join(cache, 'connection-budget', 'spread', objectNameFor(sources));
};
