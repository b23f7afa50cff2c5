import { closeSync, existsSync, mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';

import { readNetnsCookie } from '../libc.ts';
import { LinuxError, linuxErrorFrom } from '../linux-error.ts';
import { type Attached, type AttachedForm, Attachments, programNames } from './attachments.ts';
import type { BpfObject } from '../bpf/bpf-object.ts';
import { libbpf, type Libbpf } from '../bpf/libbpf.ts';
import { layoutVersion, type SpreadPod } from './pod-entry.ts';
import { PodMaps, type Statistics } from './pod-maps.ts';

export interface SpreaderOptions {
  /** spread.bpf.c, compiled. */
  readonly objectPath: string;
  /** A directory in a bpffs: maps and links are pinned below it and outlive this process. undefined: nothing is pinned. */
  readonly bpffsPath: string | undefined;
  /** Cookies of network namespaces that are no pod's: the host's. That of this process is always one of them. */
  readonly hostCookies: ReadonlySet<bigint>;
}

/** One program in the kernel for all pods of a node; a pod without an entry is left as it is. All throw LinuxError. */
export interface Spreader extends Disposable {
  readonly form: AttachedForm;
  /** Why this kernel has no better form; undefined: it has the best. */
  readonly reason: string | undefined;
  /** Writes or replaces the entry of a network namespace, in one step. Refuses the host's (InvalidInput). */
  readonly setPod: (netnsCookie: bigint, pod: SpreadPod) => void;
  /** false: there was none. */
  readonly removePod: (netnsCookie: bigint) => boolean;
  readonly pods: () => readonly bigint[];
  /** undefined: no such pod. */
  readonly statistics: (netnsCookie: bigint) => Statistics | undefined;
  /** To a pod's cgroup, or to the root of the hierarchy. Once more on the same: the program is replaced without a gap. */
  readonly attach: (cgroupPath: string) => Attached;
  /** false: nothing was attached there. */
  readonly detach: (cgroupPath: string) => boolean;
  /** After a restart, when every pod is attached again: ends links of cgroups that are gone, and those of older versions. */
  readonly prune: () => void;
  /** Detaches everywhere, leaves nothing pinned, and disposes of itself. */
  readonly remove: () => void;
}

export interface NoSpreader {
  readonly form: 'None';
  readonly reason: string;
}

// linux/magic.h
const BPF_FS_MAGIC = 0xcafe_4a11;
const folderPrefix = 'spread-v';

/** Loads the best form that this kernel takes; what it lacks is a reason, not an error. Disposed of, what is pinned goes on. */
export function openSpreader(options: SpreaderOptions): Spreader | NoSpreader {
  try {
    const bpf = libbpf();
    const folder = folderFor(options.bpffsPath);
    const { object, form, reason } = loadBest(bpf, options.objectPath, folder);
    return spreaderOf({ bpf, object, best: { form, reason }, folder, options });
  } catch (error) {
    return { form: 'None', reason: linuxErrorFrom(error, { syscall: 'bpf', attempt: 'load eBPF programs' }).message };
  }
}

interface Loaded {
  readonly bpf: Libbpf;
  readonly object: BpfObject;
  readonly best: Attached;
  readonly folder: string | undefined;
  readonly options: SpreaderOptions;
}

function spreaderOf({ bpf, object, best, folder, options }: Loaded): Spreader {
  const links = folder === undefined ? undefined : join(folder, 'links');
  const attachments = new Attachments(bpf, links, object.programs);
  const maps = new PodMaps(bpf, object.maps);
  const refused = new Set([...options.hostCookies, readNetnsCookie()]);
  let isOpen = true;
  const close = (): void => {
    if (!isOpen) return;
    isOpen = false;
    attachments.close();
    object.close();
  };
  return {
    ...best,
    setPod: (cookie, pod) => {
      if (refused.has(cookie)) throw refusedHost();
      maps.set(cookie, pod);
    },
    removePod: (cookie) => maps.remove(cookie),
    pods: () => maps.cookies(),
    statistics: (cookie) => maps.statistics(cookie),
    attach: (cgroupPath) => attachments.attach(cgroupPath, best),
    detach: (cgroupPath) => attachments.detach(cgroupPath),
    prune: () => {
      attachments.prune();
      if (folder !== undefined) removeOtherVersions(folder);
    },
    remove: () => {
      attachments.remove();
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
      close();
    },
    [Symbol.dispose]: close,
  };
}

function refusedHost(): LinuxError {
  const message = "the host's own network namespace is no pod: its connections stay as they are";
  return new LinuxError({ kind: 'InvalidInput', syscall: 'bpf', message });
}

/** Made where it is missing; undefined: nothing is to be pinned. */
function folderFor(bpffsPath: string | undefined): string | undefined {
  if (bpffsPath === undefined) return undefined;
  if (statfsSync(bpffsPath).type !== BPF_FS_MAGIC) {
    const message = `${bpffsPath} is no bpffs: nothing would outlive a restart of the agent`;
    throw new LinuxError({ kind: 'InvalidInput', syscall: 'statfs', message });
  }
  const folder = join(bpffsPath, `${folderPrefix}${layoutVersion}`);
  for (const part of ['maps', 'links']) mkdirSync(join(folder, part), { recursive: true, mode: 0o700 });
  return folder;
}

function removeOtherVersions(folder: string): void {
  const parent = join(folder, '..');
  const others = readdirSync(parent).filter((name) => name.startsWith(folderPrefix) && !folder.endsWith(`/${name}`));
  for (const name of others) rmSync(join(parent, name), { recursive: true, force: true });
}

/** The port is bound with SO_REUSEADDR; before 6.1 bpf_setsockopt() does not know it, and a port would serve one destination. */
const firstRelease = [6, 1] as const;
/** Where a kernel tells what its structures are like (CONFIG_DEBUG_INFO_BTF). */
const kernelTypes = '/sys/kernel/btf/vmlinux';

/** Why a kernel of this release gets addresses alone; undefined: it may get all. */
export function whyNoTuples(kernelRelease: string, hasTypes: boolean): string | undefined {
  const [major = 0, minor = 0] = kernelRelease.split('.').map((part) => Number.parseInt(part, 10));
  const isNewEnough = major > firstRelease[0] || (major === firstRelease[0] && minor >= firstRelease[1]);
  if (!isNewEnough) return `kernel ${kernelRelease}: ports are chosen from ${firstRelease.join('.')} on`;
  return hasTypes ? undefined : `this kernel has no ${kernelTypes}`;
}

function loadBest(bpf: Libbpf, path: string, folder: string | undefined): Attached & { readonly object: BpfObject } {
  const load = (forms: readonly AttachedForm[]): BpfObject =>
    loadPinned(bpf, { path, programs: forms.flatMap((form) => Object.values(programNames[form])) }, folder);
  const reason = whyNoTuples(release(), existsSync(kernelTypes));
  if (reason !== undefined) return { object: load(['Addresses']), form: 'Addresses', reason };
  try {
    return { object: load(['Tuples', 'Addresses']), form: 'Tuples', reason: undefined };
  } catch (error) {
    // Where nothing can be loaded, the second attempt says so.
    const { message } = linuxErrorFrom(error, { syscall: 'bpf', attempt: 'load eBPF programs' });
    return { object: load(['Addresses']), form: 'Addresses', reason: message };
  }
}

/** With the maps of whoever was here before, so that counters and entries go on. */
function loadPinned(
  bpf: Libbpf,
  request: { readonly path: string; readonly programs: readonly string[] },
  folder: string | undefined,
): BpfObject {
  if (folder === undefined) return bpf.load({ ...request, maps: new Map() });
  const directory = join(folder, 'maps');
  const known = new Map(readdirSync(directory).map((name) => [name, bpf.openPinned(join(directory, name))]));
  try {
    const object = bpf.load({ ...request, maps: known });
    for (const [name, fd] of object.maps) if (!known.has(name)) bpf.pin(fd, join(directory, name));
    return object;
  } finally {
    for (const fd of known.values()) closeSync(fd);
  }
}
