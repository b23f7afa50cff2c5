import { readFileSync } from 'node:fs';

import { linuxErrorFrom } from './linux-error.ts';
import { DEFAULT_PROC_ROOT } from './proc.ts';

// linux/capability.h: the index is the bit.
const CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
] as const;

export type Capability = (typeof CAPABILITIES)[number];

/** The CapEff line of proc_pid_status(5); bits that this list does not name are left out. */
export function parseEffectiveCapabilities(status: string): ReadonlySet<Capability> {
  const bits = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return new Set(CAPABILITIES.filter((_, bit) => ((bits >> BigInt(bit)) & 1n) === 1n));
}

/** Of this process, or of the process `pid`. Throws LinuxError Gone. */
export function readEffectiveCapabilities(
  options: { readonly pid?: number; readonly procRoot?: string } = {},
): ReadonlySet<Capability> {
  const path = `${options.procRoot ?? DEFAULT_PROC_ROOT}/${options.pid ?? 'self'}/status`;
  try {
    return parseEffectiveCapabilities(readFileSync(path, 'utf8'));
  } catch (error) {
    throw linuxErrorFrom(error, { syscall: 'read', attempt: `read ${path}`, kinds: { ENOENT: 'Gone' } });
  }
}

/** getrlimit(2): only CAP_SYS_RESOURCE raises a hard limit, or changes any limit of another user's process. */
export function canRaiseNofile(capabilities: ReadonlySet<Capability>): boolean {
  return capabilities.has('CAP_SYS_RESOURCE');
}
