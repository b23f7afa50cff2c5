import { readFileSync, writeFileSync } from 'node:fs';

import { LinuxError, linuxErrorFrom } from './linux-error.ts';
import { DEFAULT_PROC_ROOT } from './proc.ts';

// Only what belongs to a network namespace, or is read beside it. No "..", no "/", no empty part.
const SYSCTL_NAME = /^net(?:\.[a-z0-9_-]+)+$/;

// proc(5) takes a page at a time; what is set here is numbers, ranges and algorithm names.
const SYSCTL_VALUE = /^[\x20-\x7e\t]{0,4095}$/;

/** net.core.somaxconn → PROC/sys/net/core/somaxconn. Throws LinuxError InvalidInput for any other kind of name. */
export function sysctlPathFor(name: string, procRoot: string = DEFAULT_PROC_ROOT): string {
  if (!SYSCTL_NAME.test(name)) throw invalid(`sysctl name ${JSON.stringify(name)}: must be net.… in lower case`);
  return `${procRoot}/sys/${name.replaceAll('.', '/')}`;
}

/**
 * The value in the calling thread's network namespace, blanks normalised. Throws LinuxError NotFound where the kernel
 * or the namespace does not have it (tcp_mem in a pod's).
 */
export function readSysctl(name: string, procRoot: string = DEFAULT_PROC_ROOT): string {
  const path = sysctlPathFor(name, procRoot);
  try {
    return normalSysctlValue(readFileSync(path, 'utf8'));
  } catch (error) {
    throw linuxErrorFrom(error, { syscall: 'read', attempt: `read ${name}` });
  }
}

/**
 * Writes in the calling thread's network namespace. Throws LinuxError InvalidInput (also what the kernel refuses),
 * NotFound, or NotPermitted (a read-only proc mount, CAP_NET_ADMIN missing).
 */
export function writeSysctl(name: string, value: string, procRoot: string = DEFAULT_PROC_ROOT): void {
  const path = sysctlPathFor(name, procRoot);
  if (!SYSCTL_VALUE.test(value)) throw invalid(`value of ${name}: must be one line of printable ASCII`);
  try {
    // The line end makes an empty value (no reserved ports) a write at all.
    writeFileSync(path, `${value}\n`, { flag: 'r+' });
  } catch (error) {
    throw linuxErrorFrom(error, { syscall: 'write', attempt: `write "${value}" to ${name}` });
  }
}

/** The kernel separates numbers by tabs and people by spaces: "32768\t60999\n" → "32768 60999". */
export function normalSysctlValue(value: string): string {
  return value.trim().replaceAll(/\s+/g, ' ');
}

/**
 * Whether two values of a sysctl mean the same. Lists of ports come back from the kernel sorted and merged:
 * written "8081,8080,1883", read "1883,8080-8081".
 */
export function isSameSysctlValue(name: string, a: string, b: string): boolean {
  const normal = name.endsWith('_reserved_ports') ? normalPortList : normalSysctlValue;
  return normal(a) === normal(b);
}

export interface EnsuredSysctl {
  /** As it is read now. */
  readonly value: string;
  readonly isWritten: boolean;
}

/** Writes the value where what is there does not do for it. Throws LinuxError as readSysctl and writeSysctl. */
export function ensureSysctl(name: string, value: string, procRoot: string = DEFAULT_PROC_ROOT): EnsuredSysctl {
  const before = readSysctl(name, procRoot);
  if (isSufficientSysctl(name, value, before)) return { value: before, isWritten: false };
  writeSysctl(name, value, procRoot);
  return { value: readSysctl(name, procRoot), isWritten: true };
}

/** More of these than is wanted does no harm, and is somebody's choice. */
const atLeast: ReadonlySet<string> = new Set([
  'net.core.somaxconn',
  'net.ipv4.tcp_max_syn_backlog',
  'net.ipv4.tcp_max_tw_buckets',
]);

/** Whether what is there does for what is wanted: "65535" for somaxconn 4096, "1024 65535" for range 10240 65535. */
export function isSufficientSysctl(name: string, wanted: string, actual: string): boolean {
  if (isSameSysctlValue(name, wanted, actual)) return true;
  if (atLeast.has(name)) return Number(actual) >= Number(wanted);
  return name === 'net.ipv4.ip_local_port_range' && covers(numbersOf(actual), numbersOf(wanted));
}

const numbersOf = (text: string): readonly number[] => text.split(/\s+/).map(Number);

const covers = ([low, high]: readonly number[], [wantedLow, wantedHigh]: readonly number[]): boolean =>
  low !== undefined && high !== undefined && low <= (wantedLow ?? Number.NaN) && high >= (wantedHigh ?? Number.NaN);

/** "1883,8080-8081", as net.ipv4.ip_local_reserved_ports has them, in ascending order. */
export function parsePortList(value: string): readonly PortRange[] {
  const parts = normalSysctlValue(value).split(/[, ]/).filter(Boolean);
  return parts.map(portRangeOf).toSorted((a, b) => a.low - b.low);
}

function normalPortList(value: string): string {
  const merged: PortRange[] = [];
  for (const range of parsePortList(value)) {
    const last = merged.at(-1);
    if (last === undefined || range.low > last.high + 1) merged.push(range);
    else merged.splice(-1, 1, { low: last.low, high: Math.max(last.high, range.high) });
  }
  return merged.map(({ low, high }) => `${low}-${high}`).join(',');
}

export interface PortRange {
  readonly low: number;
  readonly high: number;
}

function portRangeOf(text: string): PortRange {
  const [low, high = low] = text.split('-').map(Number);
  return { low: low ?? 0, high: high ?? 0 };
}

function invalid(message: string): LinuxError {
  return new LinuxError({ kind: 'InvalidInput', syscall: 'open', message });
}
