import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';

import { canRaiseNofile, readEffectiveCapabilities } from './capabilities.ts';
import type { Rlimit } from './libc.ts';
import { LinuxError, linuxErrorFrom } from './linux-error.ts';
import type { NamespaceWorker } from './namespace-worker.ts';
import { DEFAULT_PROC_ROOT } from './proc.ts';
import { bestNofile, readNofile } from './rlimits.ts';
import { readSysctl } from './sysctls.ts';

/** What this node's kernel offers. A field is undefined when the kernel does not say it. */
export interface NodeFacts {
  readonly kernelRelease?: string | undefined;
  readonly memoryBytes?: number | undefined;
  readonly pageBytes?: number | undefined;
  readonly nrOpen?: number | undefined;
  /** fs.file-max, at most 2^53 − 1 (systemd sets 2^63 − 1). */
  readonly fileMax?: number | undefined;
  readonly filesUsed?: number | undefined;
  readonly epollMaxUserWatches?: number | undefined;
  /** Undefined when the module is not loaded. */
  readonly conntrackMax?: number | undefined;
  /** Of the one namespace that is asked; every namespace's entries are held against the maximum. */
  readonly conntrackUsed?: number | undefined;
  readonly tcpMemMinimumPages?: number | undefined;
  readonly tcpMemPressurePages?: number | undefined;
  readonly tcpMemMaximumPages?: number | undefined;
  readonly somaxconn?: number | undefined;
  readonly maxTwBuckets?: number | undefined;
  /** Of the container runtime where its pid is given, else of this process: what containers start with. */
  readonly runtimeNofile?: Rlimit | undefined;
  readonly runtimeCanRaiseNofile?: boolean | undefined;
  /** Whether this process can raise hard limits of running ones. */
  readonly canRaiseNofile: boolean;
  /** The largest hard limit that the runtime can give a container. */
  readonly settableNofile?: number | undefined;
}

export interface NodeFactsOptions {
  readonly procRoot?: string;
  readonly runtimePid?: number;
  /** The node's own network namespace (/proc/1/ns/net), for a program that is in another: tcp_mem is nowhere else. */
  readonly nodeNamespace?: { readonly worker: NamespaceWorker; readonly netnsPath: string };
  readonly signal: AbortSignal;
}

const NET_SYSCTLS = [
  'net.netfilter.nf_conntrack_max',
  'net.netfilter.nf_conntrack_count',
  'net.ipv4.tcp_mem',
  'net.core.somaxconn',
  'net.ipv4.tcp_max_tw_buckets',
] as const;

type NetValues = ReadonlyMap<string, string | undefined>;

// linux/auxvec.h
const AT_PAGESZ = 6n;

/** Throws LinuxError for what goes wrong otherwise than by absence. */
export async function readNodeFacts(options: NodeFactsOptions): Promise<NodeFacts> {
  const procRoot = options.procRoot ?? DEFAULT_PROC_ROOT;
  return {
    ...readMachineFacts(procRoot),
    ...netFactsFor(await readNetValues(options, procRoot)),
    ...readNofileFacts(procRoot, options.runtimePid),
    canRaiseNofile: canRaiseNofile(readEffectiveCapabilities({ procRoot })),
  };
}

/** The page size that the kernel gave this process at its start, in the auxiliary vector (getauxval(3)), 64-bit. */
export function parsePageBytes(auxiliaryVector: Buffer): number | undefined {
  const words = Array.from({ length: Math.floor(auxiliaryVector.length / 8) }, (_, index) =>
    endianness() === 'LE' ? auxiliaryVector.readBigUInt64LE(index * 8) : auxiliaryVector.readBigUInt64BE(index * 8),
  );
  const at = words.findIndex((word, index) => index % 2 === 0 && word === AT_PAGESZ);
  const size = at < 0 ? undefined : words[at + 1];
  return size === undefined ? undefined : Number(size);
}

/** Whole numbers separated by blanks; a number above 2^53 − 1 becomes that. */
export function parseNumbers(text: string | undefined): readonly number[] {
  const parts = text?.trim().split(/\s+/) ?? [];
  return parts.every((part) => /^\d+$/.test(part))
    ? parts.map((part) => Math.min(Number(part), Number.MAX_SAFE_INTEGER))
    : [];
}

function readMachineFacts(procRoot: string) {
  const read = (path: string): string | undefined => readIfThere(`${procRoot}/${path}`)?.toString();
  const numberOf = (path: string): number | undefined => parseNumbers(read(path))[0];
  const memoryKib = /^MemTotal:\s+(\d+) kB$/m.exec(read('meminfo') ?? '')?.[1];
  const auxiliaryVector = readIfThere(`${procRoot}/self/auxv`);
  return {
    kernelRelease: read('sys/kernel/osrelease')?.trim(),
    memoryBytes: memoryKib === undefined ? undefined : Number(memoryKib) * 1024,
    pageBytes: auxiliaryVector === undefined ? undefined : parsePageBytes(auxiliaryVector),
    nrOpen: numberOf('sys/fs/nr_open'),
    fileMax: numberOf('sys/fs/file-max'),
    filesUsed: numberOf('sys/fs/file-nr'),
    epollMaxUserWatches: numberOf('sys/fs/epoll/max_user_watches'),
  };
}

function readNofileFacts(procRoot: string, runtimePid: number | undefined) {
  const pid = runtimePid ?? process.pid;
  const runtimeNofile = readNofile(pid, procRoot);
  const runtimeCanRaiseNofile = canRaiseNofile(readEffectiveCapabilities({ procRoot, pid }));
  const [nrOpen] = parseNumbers(readIfThere(`${procRoot}/sys/fs/nr_open`)?.toString());
  const most = { soft: Number.POSITIVE_INFINITY, hard: Number.POSITIVE_INFINITY };
  const bounds = { currentHard: runtimeNofile.hard, canRaise: runtimeCanRaiseNofile };
  const settableNofile = nrOpen === undefined ? undefined : bestNofile(most, { ...bounds, nrOpen }).hard;
  return { runtimeNofile, runtimeCanRaiseNofile, settableNofile };
}

function netFactsFor(values: NetValues) {
  const [tcpMemMinimumPages, tcpMemPressurePages, tcpMemMaximumPages] = parseNumbers(values.get('net.ipv4.tcp_mem'));
  return {
    conntrackMax: parseNumbers(values.get('net.netfilter.nf_conntrack_max'))[0],
    conntrackUsed: parseNumbers(values.get('net.netfilter.nf_conntrack_count'))[0],
    tcpMemMinimumPages,
    tcpMemPressurePages,
    tcpMemMaximumPages,
    somaxconn: parseNumbers(values.get('net.core.somaxconn'))[0],
    maxTwBuckets: parseNumbers(values.get('net.ipv4.tcp_max_tw_buckets'))[0],
  };
}

async function readNetValues(options: NodeFactsOptions, procRoot: string): Promise<NetValues> {
  const { nodeNamespace, signal } = options;
  signal.throwIfAborted();
  if (nodeNamespace === undefined) return netValuesBy((name) => readSysctlIfThere(name, procRoot));
  const operations = NET_SYSCTLS.map((name) => ({ operation: 'ReadSysctl', name }) as const);
  const results = await nodeNamespace.worker.run(nodeNamespace.netnsPath, operations, signal);
  return netValuesBy((_, index) => {
    const result = results[index];
    if (result === undefined || result.ok) return result?.value;
    if (result.failure.kind === 'NotFound') return undefined;
    throw new LinuxError(result.failure);
  });
}

function netValuesBy(read: (name: string, index: number) => string | undefined): NetValues {
  return new Map(NET_SYSCTLS.map((name, index) => [name, read(name, index)]));
}

function readSysctlIfThere(name: string, procRoot: string): string | undefined {
  return unlessNotFound(() => readSysctl(name, procRoot));
}

function readIfThere(path: string): Buffer | undefined {
  return unlessNotFound(() => readFileSync(path));
}

function unlessNotFound<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const failure = linuxErrorFrom(error, { syscall: 'read', attempt: 'read a fact of the node' });
    if (failure.kind === 'NotFound') return undefined;
    throw failure;
  }
}
