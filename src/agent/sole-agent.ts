import { closeSync, constants, openSync } from 'node:fs';
import { tryLockFile } from '../linux/libc.ts';
import { pause } from './pause.ts';

/** How soon an agent follows one that ends: pods that start in between are repaired. */
const retryMs = 100;

interface Waiting {
  readonly onWait: () => void;
  readonly signal: AbortSignal;
}

/**
 * Resolves when this is the only agent of its node, for as long as what it gives is not disposed of. Of two at once (two
 * DaemonSets that select one node, one that ends while the next is there) both would set a container's limit, and the runtime
 * fails the container ("both tried to set", containerd/nri pkg/api/owners.go).
 *
 * The lock is on the folder of the runtime's socket, which all agents of a node see and none can write to. It ends with the
 * process, whichever way that ends. Where it cannot be had at all, waiting would help nobody. Undefined: the signal aborted.
 */
export async function becomeSoleAgent(folder: string, { onWait, signal }: Waiting): Promise<Disposable | undefined> {
  const lock = openFolder(folder);
  const release = { [Symbol.dispose]: () => lock !== undefined && closeSync(lock) };
  if (lock === undefined || isLocked(lock, folder)) return release;
  onWait();
  while (await pause(retryMs, signal)) if (isLocked(lock, folder)) return release;
  closeSync(lock);
  return undefined;
}

function isLocked(lock: number, folder: string): boolean {
  try {
    return tryLockFile(lock, { syscall: 'flock', attempt: `lock ${folder}` });
  } catch {
    return true;
  }
}

function openFolder(folder: string): number | undefined {
  try {
    return openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch {
    return undefined;
  }
}
