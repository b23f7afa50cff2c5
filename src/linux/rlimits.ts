import { readFileSync } from 'node:fs';

import { canRaiseNofile, readEffectiveCapabilities } from './capabilities.ts';
import { exchangeNofile, type Rlimit } from './libc.ts';
import { LinuxError } from './linux-error.ts';
import { checkProcess, DEFAULT_PROC_ROOT, type ProcessIdentity, readProcessFile } from './proc.ts';

export interface NofileChange {
  readonly soft: number;
  readonly hard: number;
  /** Without it a limit that is higher already stays as it is. */
  readonly mayLower?: boolean;
}

export interface NofileBounds {
  /** The hard limit that the process, or whoever starts it, has now. */
  readonly currentHard: number;
  readonly nrOpen: number;
  /** Whether whoever sets the limit has CAP_SYS_RESOURCE. */
  readonly canRaise: boolean;
}

const OPEN_FILES = 'Max open files';

/** /proc/PID/limits: limit by its printed title ("Max open files"). Columns are padded with two spaces or more. */
export function parseRlimits(text: string): ReadonlyMap<string, Rlimit> {
  const rows = text.matchAll(/^(\S(?: ?\S)*) {2,}(\d+|unlimited) +(\d+|unlimited)\b/gm);
  return new Map([...rows].map(([, title = '', soft, hard]) => [title, { soft: limitOf(soft), hard: limitOf(hard) }]));
}

/** Throws LinuxError Gone. */
export function readRlimits(pid: number, procRoot: string = DEFAULT_PROC_ROOT): ReadonlyMap<string, Rlimit> {
  return parseRlimits(readProcessFile(pid, 'limits', procRoot));
}

/** RLIMIT_NOFILE of a process. Throws LinuxError Gone. */
export function readNofile(pid: number, procRoot: string = DEFAULT_PROC_ROOT): Rlimit {
  const nofile = readRlimits(pid, procRoot).get(OPEN_FILES);
  if (nofile !== undefined) return nofile;
  const message = `cannot understand limits of process ${pid}`;
  throw new LinuxError({ kind: 'SystemCall', syscall: 'read', message });
}

/**
 * Of what is planned, the most that can be set. getrlimit(2): a hard limit rises only with CAP_SYS_RESOURCE, and never
 * above fs.nr_open. Planned 600,000 where the hard limit is 524,288: 524,288 without the capability.
 */
export function bestNofile(planned: Rlimit, bounds: NofileBounds): Rlimit {
  const reachable = bounds.canRaise ? bounds.nrOpen : Math.min(bounds.currentHard, bounds.nrOpen);
  const hard = Math.min(planned.hard, reachable);
  return { soft: Math.min(planned.soft, hard), hard };
}

/**
 * Sets RLIMIT_NOFILE of a running process and returns what it has now. The process is compared with its identity before
 * and after, and a younger process that took its pid in between gets its limits back.
 * Throws LinuxError Gone, InvalidInput, NotPermitted (CAP_SYS_RESOURCE is missing) or AboveNrOpen.
 */
export function setNofile(
  identity: ProcessIdentity,
  change: NofileChange,
  procRoot: string = DEFAULT_PROC_ROOT,
): Rlimit {
  checkNofile(change);
  checkProcess(identity, procRoot);
  const current = readNofile(identity.pid, procRoot);
  let wanted = wantedOver(current, change);
  if (isSame(wanted, current)) return current;
  // A program that raises its own limit (Node and Go do at their start) may do so between our reading and our writing.
  for (;;) {
    const previous = exchangeGuarded(identity, wanted, procRoot);
    const kept = wantedOver(previous, { ...wanted, mayLower: change.mayLower ?? false });
    if (isSame(kept, wanted)) return wanted;
    wanted = kept;
  }
}

function exchangeGuarded(identity: ProcessIdentity, wanted: Rlimit, procRoot: string): Rlimit {
  const { pid } = identity;
  const previous = exchange(pid, wanted, procRoot);
  try {
    checkProcess(identity, procRoot);
  } catch (error) {
    restoreUnlessGone(pid, previous, procRoot);
    throw error;
  }
  return previous;
}

function restoreUnlessGone(pid: number, limit: Rlimit, procRoot: string): void {
  try {
    exchange(pid, limit, procRoot);
  } catch (error) {
    if (!(error instanceof LinuxError && error.kind === 'Gone')) throw error;
  }
}

function exchange(pid: number, wanted: Rlimit, procRoot: string): Rlimit {
  const { soft, hard } = wanted;
  try {
    return exchangeNofile(pid, wanted, {
      syscall: 'prlimit64',
      attempt: `set nofile of process ${pid} to ${soft} soft, ${hard} hard`,
    });
  } catch (error) {
    throw error instanceof LinuxError && error.kind === 'NotPermitted' ? explained(error, hard, procRoot) : error;
  }
}

// EPERM has three causes: above fs.nr_open, CAP_SYS_RESOURCE missing, a security module.
function explained(error: LinuxError, hard: number, procRoot: string): LinuxError {
  const { message, syscall, errno = 0 } = error;
  const because = (kind: LinuxError['kind'], reason: string): LinuxError =>
    new LinuxError({ kind, syscall, errno, message: `${message}, ${reason}` }, { cause: error });
  const nrOpen = Number(readFileSync(`${procRoot}/sys/fs/nr_open`, 'utf8'));
  if (hard > nrOpen) return because('AboveNrOpen', `fs.nr_open is ${nrOpen}`);
  if (canRaiseNofile(readEffectiveCapabilities({ procRoot })))
    return because('NotPermitted', 'though CAP_SYS_RESOURCE is there');
  return because('NotPermitted', 'a higher hard limit or a process of another user needs CAP_SYS_RESOURCE');
}

function checkNofile({ soft, hard }: NofileChange): void {
  const isValid = [soft, hard].every((limit) => Number.isSafeInteger(limit) && limit >= 0) && soft <= hard;
  if (isValid) return;
  const message = `nofile ${soft} soft, ${hard} hard: must be whole numbers from 0, the soft one at most the hard one`;
  throw new LinuxError({ kind: 'InvalidInput', syscall: 'prlimit64', message });
}

function wantedOver(current: Rlimit, { soft, hard, mayLower }: NofileChange): Rlimit {
  if (mayLower === true) return { soft, hard };
  return { soft: Math.max(current.soft, soft), hard: Math.max(current.hard, hard) };
}

function isSame(a: Rlimit, b: Rlimit): boolean {
  return a.soft === b.soft && a.hard === b.hard;
}

function limitOf(text: string | undefined): number {
  return text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text);
}
