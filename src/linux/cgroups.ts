import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { DEFAULT_PROC_ROOT } from './proc.ts';

/** Where cgroups of version 2 are mounted: alone, or beside those of version 1. undefined: nowhere. */
export function parseCgroup2Root(mounts: string): string | undefined {
  return /^\S+ (\S+) cgroup2 /m.exec(mounts)?.[1];
}

/** "0::/kubepods/pod1": the cgroup of version 2 from the root that the process sees. */
export function parseOwnCgroup2(cgroups: string): string | undefined {
  return /^0::(\/.*)$/m.exec(cgroups)?.[1];
}

/** The directory of this process's cgroup of version 2; undefined: this machine has none. */
export function ownCgroup2(procRoot: string = DEFAULT_PROC_ROOT): string | undefined {
  const root = parseCgroup2Root(readFileSync(`${procRoot}/self/mounts`, 'utf8'));
  const own = parseOwnCgroup2(readFileSync(`${procRoot}/self/cgroup`, 'utf8'));
  return root === undefined || own === undefined ? undefined : join(root, own);
}
