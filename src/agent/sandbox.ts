import { readFileSync, statSync } from 'node:fs';

import type { Rlimit } from '../linux/libc.ts';
import { readNofile } from '../linux/rlimits.ts';
import type { PodSandbox } from '../nri/gen/nri_pb.ts';
import type { Host } from './host.ts';

/**
 * What the sandbox's own process has: the runtime's default, for a pause program changes nothing of it. Undefined while it
 * still is runc's init, which is written in Go and has raised its own soft limit (19,999 of 20,000 seen instead of 1,024)
 * until it executes the program.
 */
export function readSandboxNofile({ pid }: PodSandbox, procRoot: string): Rlimit | undefined {
  if (pid === 0) return undefined;
  return orUndefined(() => {
    const limit = readNofile(pid, procRoot);
    return readFileSync(`${procRoot}/${pid}/comm`, 'utf8').startsWith('runc:') ? undefined : limit;
  });
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

function orUndefined<T>(read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
