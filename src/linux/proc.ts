import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';

import { linuxErrorFrom, LinuxError } from './linux-error.ts';

export const DEFAULT_PROC_ROOT = '/proc';

/** A pid is used again; a pid with its start time (clock ticks since boot, proc_pid_stat(5) field 22) is not. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTimeTicks: number;
}

export interface ProcessEntry extends ProcessIdentity {
  readonly parentPid: number;
}

export type ProcessTable = ReadonlyMap<number, ProcessEntry>;

export interface DescriptorCount {
  readonly descriptors: number;
  /** UpperBound: a kernel before 6.2, where only the size of the descriptor table is known. */
  readonly exactness: 'Exact' | 'UpperBound';
}

// A scan costs about 10 µs a process; after so many the event loop gets its turn.
const PROCESSES_PER_TURN = 256;

/** proc_pid_stat(5). The command is in parentheses and may hold any byte, parentheses too: the last ")" ends it. */
export function parseProcessStat(text: string): ProcessEntry | undefined {
  const commandEnd = text.lastIndexOf(')');
  const pid = Number(/^(\d+) \(/.exec(text)?.[1]);
  const fields = text.slice(commandEnd + 2).split(' ');
  const parentPid = countOf(fields[4 - 3]);
  const startTimeTicks = countOf(fields[22 - 3]);
  const areNumbers = [pid, parentPid, startTimeTicks].every((value) => Number.isSafeInteger(value) && value >= 0);
  return commandEnd > 0 && areNumbers ? { pid, parentPid, startTimeTicks } : undefined;
}

/** NaN for what is no count: a line that is cut before a field has "" there, which is not 0. */
function countOf(field: string | undefined): number {
  return /^\d+$/.test(field ?? '') ? Number(field) : Number.NaN;
}

/** Throws LinuxError Gone when no process has this pid. */
export function readProcess(pid: number, procRoot: string = DEFAULT_PROC_ROOT): ProcessEntry {
  const entry = parseProcessStat(readProcessFile(pid, 'stat', procRoot));
  if (entry === undefined) throw unreadable(pid, 'stat');
  return entry;
}

/** Throws LinuxError Gone when the pid is free, or another process has it by now. */
export function checkProcess(identity: ProcessIdentity, procRoot: string = DEFAULT_PROC_ROOT): void {
  const { startTimeTicks } = readProcess(identity.pid, procRoot);
  if (startTimeTicks === identity.startTimeTicks) return;
  const message = `process ${identity.pid} is gone: its pid belongs to a younger process`;
  throw new LinuxError({ kind: 'Gone', syscall: 'read', message });
}

/** A runtime gives each container a cgroup that bears its id. Throws LinuxError Gone where the process is of none such. */
export function checkContainer(pid: number, containerId: string, procRoot: string = DEFAULT_PROC_ROOT): void {
  if (readProcessFile(pid, 'cgroup', procRoot).includes(containerId)) return;
  const message = `process ${pid} is not of container ${containerId}: its pid belongs to another by now`;
  throw new LinuxError({ kind: 'Gone', syscall: 'read', message });
}

export function readProcessFile(pid: number, name: string, procRoot: string = DEFAULT_PROC_ROOT): string {
  try {
    return readFileSync(`${procRoot}/${pid}/${name}`, 'utf8');
  } catch (error) {
    throw linuxErrorFrom(error, callOnProcess('read', `read ${name} of process ${pid}`));
  }
}

/** All processes that this proc mount shows: one scan serves every container of a node. */
export async function readProcessTable(options: {
  readonly procRoot?: string;
  readonly signal: AbortSignal;
}): Promise<ProcessTable> {
  const procRoot = options.procRoot ?? DEFAULT_PROC_ROOT;
  const table = new Map<number, ProcessEntry>();
  const pids = readdirSync(procRoot).filter((name) => /^\d+$/.test(name));
  for (const [index, name] of pids.entries()) {
    if (index % PROCESSES_PER_TURN === PROCESSES_PER_TURN - 1)
      await setImmediate(undefined, { signal: options.signal });
    const entry = unlessGone(() => readProcess(Number(name), procRoot));
    if (entry !== undefined) table.set(entry.pid, entry);
  }
  options.signal.throwIfAborted();
  return table;
}

/** `pid` and all below it; empty when the table does not have it. */
export function descendantsOf(table: ProcessTable, pid: number): readonly ProcessEntry[] {
  const byParent = Map.groupBy(table.values(), (entry) => entry.parentPid);
  const first = table.get(pid);
  const found = new Set(first === undefined ? [] : [first]);
  for (const entry of found) for (const child of byParent.get(entry.pid) ?? []) found.add(child);
  return [...found];
}

/**
 * The processes of a container: its first process and the descendants in the same pid namespace, so those of containers
 * nested in it are left out. What `kubectl exec` started is not a descendant; its cgroup knows it.
 * Needs CAP_SYS_PTRACE for another user's containers. Throws LinuxError Gone or NotPermitted.
 */
export function containerProcesses(
  table: ProcessTable,
  initPid: number,
  procRoot: string = DEFAULT_PROC_ROOT,
): readonly ProcessEntry[] {
  const namespace = readPidNamespace(initPid, procRoot);
  const isInside = (entry: ProcessEntry): boolean =>
    unlessGone(() => readPidNamespace(entry.pid, procRoot)) === namespace;
  return descendantsOf(table, initPid).filter(isInside);
}

/**
 * The open descriptors of a process, without listing them (that would pin about 0.9 KB of kernel memory for each):
 * st_size of /proc/PID/fd from Linux 6.2 on, FDSize of proc_pid_status(5) before. Throws LinuxError Gone.
 */
export function readDescriptorCount(pid: number, procRoot: string = DEFAULT_PROC_ROOT): DescriptorCount {
  try {
    const descriptors = statSync(`${procRoot}/${pid}/fd`).size;
    if (descriptors > 0) return { descriptors, exactness: 'Exact' };
  } catch (error) {
    throw linuxErrorFrom(error, callOnProcess('stat', `count the descriptors of process ${pid}`));
  }
  const tableSize = /^FDSize:\s*(\d+)$/m.exec(readProcessFile(pid, 'status', procRoot))?.[1];
  return { descriptors: Number(tableSize ?? 0), exactness: 'UpperBound' };
}

function readPidNamespace(pid: number, procRoot: string): string {
  try {
    return readlinkSync(`${procRoot}/${pid}/ns/pid`);
  } catch (error) {
    throw linuxErrorFrom(error, callOnProcess('readlink', `read the pid namespace of process ${pid}`));
  }
}

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof LinuxError && error.kind === 'Gone') return undefined;
    throw error;
  }
}

function callOnProcess(syscall: string, attempt: string) {
  return { syscall, attempt, kinds: { ENOENT: 'Gone' } } as const;
}

function unreadable(pid: number, name: string): LinuxError {
  return new LinuxError({
    kind: 'SystemCall',
    syscall: 'read',
    message: `cannot understand ${name} of process ${pid}`,
  });
}
