import { isOnPath, run } from './command.ts';
import { existsSync } from 'node:fs';
import { LabError } from './lab-error.ts';

/** A program or file that must be there, and the Debian package that brings it. */
export type Requirement = { readonly needs: string; readonly debianPackage: string };

export const pkiRequirements: readonly Requirement[] = [{ needs: 'openssl', debianPackage: 'openssl' }];

export const runcBuildRequirements: readonly Requirement[] = [
  { needs: 'gcc', debianPackage: 'gcc' },
  { needs: '/usr/include/stdlib.h', debianPackage: 'libc6-dev' },
  { needs: '/usr/include/seccomp.h', debianPackage: 'libseccomp-dev' },
  { needs: 'pkg-config', debianPackage: 'pkg-config' },
];

/** clang and libbpf's headers build the eBPF objects; libbpf.so.1, which comes with the headers, loads them. */
export const bpfRequirements: readonly Requirement[] = [
  { needs: 'clang', debianPackage: 'clang' },
  { needs: '/usr/include/bpf/bpf_helpers.h', debianPackage: 'libbpf-dev' },
  { needs: '/usr/include/linux/bpf.h', debianPackage: 'linux-libc-dev' },
];

export const nodeRequirements: readonly Requirement[] = [
  ...pkiRequirements,
  ...runcBuildRequirements,
  { needs: 'ip', debianPackage: 'iproute2' },
  { needs: 'nft', debianPackage: 'nftables' },
  { needs: 'iptables', debianPackage: 'iptables' },
  { needs: 'conntrack', debianPackage: 'conntrack' },
  { needs: 'sysctl', debianPackage: 'procps' },
];

export const virtualMachineRequirements: readonly Requirement[] = [
  { needs: 'qemu-system-x86_64', debianPackage: 'qemu-system-x86' },
  { needs: 'mkfs.ext4', debianPackage: 'e2fsprogs' },
  { needs: 'cpio', debianPackage: 'cpio' },
  { needs: 'busybox', debianPackage: 'busybox-static' },
  { needs: 'depmod', debianPackage: 'kmod' },
  { needs: 'dpkg-deb', debianPackage: 'dpkg' },
];

export type Progress = { readonly signal: AbortSignal; readonly onProgress: (message: string) => void };

/** Installs what is missing, as root on Debian; elsewhere throws LabError MissingProgram that names the packages. */
export async function ensureRequirements(requirements: readonly Requirement[], progress: Progress): Promise<void> {
  const missing = await missingPackages(requirements);
  if (missing.length === 0) return;
  const names = missing.join(' ');
  if (process.getuid?.() !== 0 || !(await isOnPath('apt-get'))) {
    throw new LabError('MissingProgram', `these Debian packages (or their like) are needed: ${names}`);
  }
  progress.onProgress(`installing Debian packages: ${names}`);
  const options = { signal: progress.signal, environment: { DEBIAN_FRONTEND: 'noninteractive' } };
  await run('apt-get', ['update', '-qq'], options);
  await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], options);
}

async function missingPackages(requirements: readonly Requirement[]): Promise<readonly string[]> {
  const present = await Promise.all(requirements.map(({ needs }) => isPresent(needs)));
  const missing = requirements.filter((_, index) => present[index] === false);
  return [...new Set(missing.map(({ debianPackage }) => debianPackage))];
}

async function isPresent(needs: string): Promise<boolean> {
  return needs.startsWith('/') ? existsSync(needs) : isOnPath(needs);
}
