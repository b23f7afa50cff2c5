import { existsSync, readFileSync, statSync } from 'node:fs';

import type { Rlimit } from '../linux/libc.ts';
import { checkContainer, type ProcessIdentity, readProcess } from '../linux/proc.ts';
import { readNofile } from '../linux/rlimits.ts';
import type { PodSandbox } from '../nri/gen/nri_pb.ts';
import type { Host } from './host.ts';
import type { PlannedPod } from './planned-pods.ts';

/**
 * What the sandbox's own process has: the runtime's default, for a pause program changes nothing of it. Undefined while it
 * still is runc's init, which is written in Go and has raised its own soft limit (19,999 of 20,000 seen instead of 1,024)
 * until it executes the program.
 */
export function readSandboxNofile({ id, pid }: PodSandbox, procRoot: string): Rlimit | undefined {
  if (pid === 0) return undefined;
  return orUndefined(() => {
    checkContainer(pid, id, procRoot);
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

/** Whose namespace it is, where a path names it by a process: undefined where a runtime pins it under a name of its own. */
export function readNetnsOwner(netnsPath: string | undefined, procRoot: string): ProcessIdentity | undefined {
  const pid = Number(new RegExp(`^${procRoot}/(\\d+)/`).exec(netnsPath ?? '')?.[1]);
  return Number.isNaN(pid) ? undefined : orUndefined(() => readProcess(pid, procRoot));
}

/** Of which the runtime has not told yet: a younger process that has the pid of its sandbox is in another network. */
export function hasEnded({ netnsOwner }: PlannedPod, procRoot: string): boolean {
  if (netnsOwner === undefined) return false;
  return orUndefined(() => readProcess(netnsOwner.pid, procRoot))?.startTimeTicks !== netnsOwner.startTimeTicks;
}

/** Whether the pod's own network is there. */
export const hasNetwork = (pod: PlannedPod, procRoot: string): boolean =>
  pod.netnsPath !== undefined && existsSync(pod.netnsPath) && !hasEnded(pod, procRoot);

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
