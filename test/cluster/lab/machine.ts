import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { withLock } from './build-lock.ts';
import { readMachineSysctls, restoreMachineSysctls } from './machine-sysctls.ts';

/**
 * What all clusters of a machine share: settings that a kubelet changes, and folders that must be there to be mounted
 * over. The first cluster writes down how they were, the last one restores that. (A folder that another cluster has
 * mounted over could be removed by us, and its mount with it: rmdir(2) only looks at our own mount namespace.)
 */
const recordSchema = z.object({
  createdFolders: z.array(z.string()),
  sysctls: z.record(z.string(), z.string()),
});

const runFolder = '/run';
const recordFile = join(runFolder, 'connection-budget-test.json');
const lockFile = join(runFolder, 'connection-budget-test.lock');
const instancePattern = /^cb-[0-9a-f]{8}$/;

/** Seen alike by the machine and the node: sockets of containerd and NRI. Its presence says that the cluster is there. */
export function sharedRunFolder(instance: string): string {
  return join(runFolder, instance);
}

export async function claimMachine(
  instance: string,
  mountPoints: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  await withLock(lockFile, signal, async () => {
    mkdirSync(sharedRunFolder(instance), { recursive: true });
    if (!existsSync(recordFile)) {
      const createdFolders = mountPoints.flatMap(missingParents);
      const record = { createdFolders, sysctls: await readMachineSysctls() };
      writeFileSync(recordFile, JSON.stringify(record));
    }
    for (const folder of mountPoints) mkdirSync(folder, { recursive: true });
  });
}

export async function releaseMachine(instance: string, signal: AbortSignal): Promise<void> {
  await withLock(lockFile, signal, async () => {
    rmSync(sharedRunFolder(instance), { recursive: true, force: true });
    const inUse = readdirSync(runFolder).some((name) => instancePattern.test(name));
    if (inUse || !existsSync(recordFile)) return;
    const { createdFolders, sysctls } = recordSchema.parse(JSON.parse(readFileSync(recordFile, 'utf8')));
    await restoreMachineSysctls(sysctls);
    for (const folder of createdFolders.toReversed()) removeIfEmpty(folder);
    rmSync(recordFile);
  });
}

/** /opt/cni where only / exists → ['/opt', '/opt/cni'] */
function missingParents(folder: string): readonly string[] {
  return existsSync(folder) ? [] : [...missingParents(dirname(folder)), folder];
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Somebody else put something there, or took it away.
  }
}
