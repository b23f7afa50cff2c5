import { statSync } from 'node:fs';

import type { Rlimit } from '../linux/libc.ts';
import { readNofile } from '../linux/rlimits.ts';
import type { PodSandbox } from '../nri/gen/nri_pb.ts';
import type { Host } from './host.ts';

/** What the sandbox's own process has: the runtime's default, for a pause program changes nothing of it. */
export function readSandboxNofile({ pid }: PodSandbox, procRoot: string): Rlimit | undefined {
  return pid === 0 ? undefined : orUndefined(() => readNofile(pid, procRoot));
}

/** Undefined for a pod on its node's own network. */
export function readNetnsPath(sandbox: PodSandbox, { procRoot, nodeNetnsPath }: Host): string | undefined {
  const named = sandbox.linux?.namespaces.find(({ type }) => type === 'network')?.path ?? '';
  if (named === '') return undefined;
  // A path below /proc holds pids of the node: seen through the mount that shows those.
  const path = named.startsWith('/proc/') ? `${procRoot}/${named.slice('/proc/'.length)}` : named;
  return isSameFile(path, nodeNetnsPath()) ? undefined : path;
}

function isSameFile(a: string, b: string): boolean {
  const [first, second] = [a, b].map((path) => orUndefined(() => statSync(path)));
  return first !== undefined && second !== undefined && first.ino === second.ino && first.dev === second.dev;
}

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
