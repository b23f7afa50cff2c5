import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { hasCode } from './lab-error.ts';
import { isRunning, parseRecord, recordOf } from './process.ts';

/** Runs `work` while no other process of this user does so under the same lock; a dead holder's lock is taken over. */
export async function withLock<T>(file: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(file), { recursive: true });
  while (!tryLock(file)) {
    removeIfStale(file);
    await delay(200, undefined, { signal });
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

function tryLock(file: string): boolean {
  try {
    writeFileSync(file, JSON.stringify(recordOf(process.pid)), { flag: 'wx' });
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

function removeIfStale(file: string): void {
  try {
    if (!isRunning(parseRecord(readFileSync(file, 'utf8')))) rmSync(file, { force: true });
  } catch {
    // Gone, or not yet written by its new holder: the next attempt shows which.
  }
}
