import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

import { checkProcess, type ProcessIdentity, readProcess } from '../linux/proc.ts';
import { ProveError } from './prove-error.ts';

/**
 * Everything that a proof makes lives as long as a process of it: namespaces are not pinned, and with them go their links
 * and sockets. Those processes end with the proof, whichever way it ends; this record is for one that did not.
 */

const identity = z.object({ pid: z.number().int().positive(), startTimeTicks: z.number().nonnegative() });
const recordFile = z.object({ proof: identity, processes: z.array(identity) });

export interface ProcessRecord extends Disposable {
  readonly add: (pid: number) => void;
}

/** The user as the machine knows it: inside a user namespace everybody is 0 (user_namespaces(7), uid_map). */
const userOfMachine = (): number => {
  const uid = process.getuid?.() ?? 0;
  const ranges = readFileSync('/proc/self/uid_map', 'utf8').trim().split('\n');
  for (const range of ranges) {
    const [inside = 0, outside = 0, count = 0] = range.trim().split(/\s+/).map(Number);
    if (uid >= inside && uid < inside + count) return outside + uid - inside;
  }
  return uid;
};

export const recordDirectory = (): string => join(tmpdir(), `connection-budget-prove-${userOfMachine()}`);

const isAlive = (process: ProcessIdentity): boolean => {
  try {
    checkProcess(process);
    return true;
  } catch {
    return false;
  }
};

const endProcess = (recorded: ProcessIdentity): void => {
  if (!isAlive(recorded)) return;
  try {
    process.kill(recorded.pid, 'SIGKILL');
  } catch {
    // It ended by itself between the look and the signal.
  }
};

/** undefined: no such file, or no JSON. */
export const jsonOf = (path: string): unknown => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
};

const endOf = (path: string): void => {
  const parsed = recordFile.safeParse(jsonOf(path));
  if (!parsed.success || isAlive(parsed.data.proof)) return;
  for (const recorded of parsed.data.processes) endProcess(recorded);
  rmSync(path, { force: true });
};

/** Makes the directory of records, or throws ProveError CannotHere where it is not ours alone. */
export const prepareRecordDirectory = (directory: string): void => {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  // Whoever can write here can have processes ended and settings changed.
  const { uid, mode } = lstatSync(directory);
  if (uid !== process.getuid?.() || (mode & 0o022) !== 0)
    throw new ProveError('CannotHere', `${directory} belongs to somebody else, or others may write to it: remove it`);
};

/** Ends what a killed proof left: processes by their recorded id and start time, never by a name. */
export const endLeftovers = (directory: string = recordDirectory()): void => {
  prepareRecordDirectory(directory);
  for (const name of readdirSync(directory)) if (name.endsWith('.json')) endOf(join(directory, name));
};

/** The record of this proof's processes; gone when it is disposed of. */
export const startRecord = (directory: string = recordDirectory()): ProcessRecord => {
  const { pid, startTimeTicks } = readProcess(process.pid);
  const path = join(directory, `${pid}-${startTimeTicks}-${process.hrtime.bigint()}.json`);
  const processes: ProcessIdentity[] = [];
  const write = (): void =>
    writeFileSync(path, JSON.stringify({ proof: { pid, startTimeTicks }, processes }), { mode: 0o600 });
  write();
  return {
    add: (added) => {
      const entry = readProcess(added);
      processes.push({ pid: entry.pid, startTimeTicks: entry.startTimeTicks });
      write();
    },
    [Symbol.dispose]: () => rmSync(path, { force: true }),
  };
};
