import type * as Koffi from 'koffi';

import { mkdirSync, statfsSync } from 'node:fs';
import { createRequire } from 'node:module';

import { linuxErrorForErrno, linuxErrorFrom } from './linux-error.ts';

// linux/magic.h
const PROC_SUPER_MAGIC = 0x9fa0;
const BPF_FS_MAGIC = 0xcafe_4a11;
// linux/mount.h
const MS_NOSUID = 2n;
const MS_NODEV = 4n;
const MS_NOEXEC = 8n;

/**
 * Mounts proc(5) at `directory`, which is made where it is missing; nothing to do where a proc is mounted there already.
 * A container's own /proc/sys is read-only, this one is not. It shows the pid namespace of the caller. Throws LinuxError
 * NotPermitted (CAP_SYS_ADMIN is missing, or a security module refused).
 */
export function mountProc(directory: string): void {
  mountAt(directory, { type: 'proc', magic: PROC_SUPER_MAGIC });
}

/** The same for bpffs, where eBPF maps and links are kept by name. */
export function mountBpf(directory: string): void {
  mountAt(directory, { type: 'bpf', magic: BPF_FS_MAGIC });
}

function mountAt(directory: string, { type, magic }: { readonly type: string; readonly magic: number }): void {
  const call = { syscall: 'mount', attempt: `mount ${type} at ${directory}` };
  try {
    mkdirSync(directory, { recursive: true });
    if (statfsSync(directory).type === magic) return;
  } catch (error) {
    throw linuxErrorFrom(error, call);
  }
  const koffi: typeof Koffi = createRequire(import.meta.url)('koffi');
  const mount = koffi
    .load(null)
    .func('int mount(const char *source, const char *target, const char *type, unsigned long flags, void *data)');
  const failed = mount(type, directory, type, MS_NOSUID | MS_NODEV | MS_NOEXEC, null) !== 0;
  if (failed) throw linuxErrorForErrno(koffi.errno(), call);
}
