import { closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';

import { tryLockFile } from '../linux/libc.ts';
import { linuxErrorFrom } from '../linux/linux-error.ts';
import { jsonOf, prepareRecordDirectory, recordDirectory } from './leftovers.ts';
import { ProveError } from './prove-error.ts';

/**
 * Settings of the whole machine, changed for a while. One at a time holds the lock of the record; the kernel frees it
 * however its holder ends. What was there is written down before anything is changed, so that whoever comes next can
 * restore it after a kill.
 */

const settingNames = ['fs.file-max', 'fs.epoll.max_user_watches', 'net.netfilter.nf_conntrack_max'] as const;

export type HostSettingName = (typeof settingNames)[number];

export interface HostSetting {
  readonly name: HostSettingName;
  readonly value: number;
}

/** `set`: a value that is something else by now was changed by somebody else. */
const changes = z.array(z.object({ name: z.enum(settingNames), before: z.string(), set: z.string() }));
type Changes = z.infer<typeof changes>;

const lockWaitMs = 50;

const pathOf = (name: HostSettingName): string => `/proc/sys/${name.replaceAll('.', '/')}`;

const read = (name: HostSettingName): string => readFileSync(pathOf(name), 'utf8').trim();

const write = (name: HostSettingName, value: string): void => {
  try {
    writeFileSync(pathOf(name), `${value}\n`, { flag: 'r+' });
  } catch (error) {
    const cause = linuxErrorFrom(error, { syscall: 'write', attempt: `set ${name} to ${value}` });
    throw new ProveError('CannotHere', cause.message, { cause });
  }
};

interface SettingsRecord {
  readonly path: string;
  readonly lock: number;
}

const openRecord = (directory: string): SettingsRecord => {
  prepareRecordDirectory(directory);
  return {
    path: join(directory, 'host-settings'),
    lock: openSync(join(directory, 'host-settings.lock'), 'w', 0o600),
  };
};

const takesLock = ({ lock, path }: SettingsRecord): boolean =>
  tryLockFile(lock, { syscall: 'flock', attempt: `lock ${path}` });

/** A record appears whole or not at all: whoever is killed while writing it has not changed anything yet. */
const writeRecord = (path: string, entries: Changes): void => {
  const draft = `${path}.draft`;
  writeFileSync(draft, JSON.stringify(entries), { mode: 0o600 });
  renameSync(draft, path);
};

/** What somebody else has set since then is left as it is. */
const restore = (path: string): void => {
  for (const { name, before, set } of changes.safeParse(jsonOf(path)).data ?? []) {
    if (read(name) === set) write(name, before);
  }
  rmSync(path, { force: true });
};

const change = (path: string, wanted: readonly HostSetting[]): void => {
  const entries = wanted.map(({ name, value }) => ({ name, before: read(name), set: String(value) }));
  writeRecord(path, entries);
  for (const { name, set } of entries) write(name, set);
};

/** Restores what a killed run changed; nothing while a run that changed something is alive. */
export const restoreHostSettings = (directory: string = recordDirectory()): void => {
  const record = openRecord(directory);
  try {
    if (takesLock(record)) restore(record.path);
  } finally {
    closeSync(record.lock);
  }
};

/**
 * Changes settings of the machine until what is returned is disposed of; waits for its turn.
 * @throws ProveError CannotHere where the kernel refuses a value; then nothing is changed.
 */
export const changeHostSettings = async (
  wanted: readonly HostSetting[],
  { signal, directory = recordDirectory() }: { readonly signal: AbortSignal; readonly directory?: string },
): Promise<Disposable> => {
  const record = openRecord(directory);
  try {
    while (!takesLock(record)) await delay(lockWaitMs, undefined, { signal });
  } catch (error) {
    closeSync(record.lock);
    throw error;
  }
  const undo = (): void => {
    restore(record.path);
    closeSync(record.lock);
  };
  try {
    restore(record.path);
    change(record.path, wanted);
  } catch (error) {
    undo();
    throw error;
  }
  return { [Symbol.dispose]: undo };
};
