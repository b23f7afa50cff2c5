import { setTimeout as delay } from 'node:timers/promises';
import { LinuxError } from '../linux/linux-error.ts';
import {
  type NamespaceOperation,
  type OperationResult,
  performOperations,
  type ResultsOf,
} from '../linux/namespace-operations.ts';
import { createNamespaceWorker } from '../linux/namespace-worker.ts';
import { type NodeFacts, readNodeFacts } from '../linux/node-facts.ts';
import { DEFAULT_PROC_ROOT } from '../linux/proc.ts';
import type { SocketTotals } from '../linux/sockets.ts';
import type { TcpSockets } from '../linux/tcp-sockets.ts';
import { type ProcessUse, readProcessUses } from './doctor-processes.ts';
import type { Target } from './doctor-target.ts';

/** What is set in a namespace and says how many connections it holds. What the kernel does not have is left out. */
const settingNames = [
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.core.somaxconn',
  'net.ipv4.tcp_max_syn_backlog',
  'net.ipv4.tcp_max_tw_buckets',
  'net.ipv4.tcp_tw_reuse',
  'net.ipv4.tcp_max_orphans',
  'net.netfilter.nf_conntrack_count',
  'net.netfilter.nf_conntrack_max',
] as const;

export type SettingName = (typeof settingNames)[number];

/** All that was read, once, before anything is decided. */
export interface Observation {
  readonly target: Target;
  readonly settings: ReadonlyMap<SettingName, string>;
  /** Before the sockets were read, and so many seconds later: what grew meanwhile grows now. */
  readonly totals: SocketTotals;
  readonly totalsAfter: SocketTotals;
  readonly watchedSeconds: number;
  readonly sockets: TcpSockets;
  readonly processes: readonly ProcessUse[];
  readonly unreadableProcesses: number;
  /** Of this machine and this program's own namespace. */
  readonly node: NodeFacts;
  readonly seconds: number;
}

/** A million sockets take a second or two; a machine that is busy besides, several times that. */
const longestMs = 60_000;

const valueOf = <T>(result: OperationResult<T>): T => {
  if (result.ok) return result.value;
  throw new LinuxError(result.failure);
};

/** Bundled, the worker's body is a file beside this one. */
const workerUrl = import.meta.url.endsWith('.js')
  ? new URL('./namespace-worker-thread.js', import.meta.url)
  : undefined;

type Perform = <const T extends readonly NamespaceOperation[]>(operations: T) => Promise<ResultsOf<T>>;

/** Its own namespace is read in this thread: nothing has to be entered. */
const withNamespace = async <R>(
  { isOwnNamespace, netnsPath }: Target,
  signal: AbortSignal,
  use: (perform: Perform) => Promise<R>,
): Promise<R> => {
  if (isOwnNamespace) return use(async (operations) => performOperations(operations, DEFAULT_PROC_ROOT));
  const worker = createNamespaceWorker({ signal, timeoutMs: longestMs, ...(workerUrl && { workerUrl }) });
  try {
    return await use(async (operations) => worker.run(netnsPath, operations, signal));
  } finally {
    worker.close();
  }
};

const readSettings = async (perform: Perform): Promise<Observation['settings']> => {
  const results = await perform(settingNames.map((name) => ({ operation: 'ReadSysctl', name }) as const));
  const found = settingNames.flatMap((name, at) => {
    const result = results[at];
    return result?.ok === true ? [[name, result.value] as const] : [];
  });
  return new Map(found);
};

/** A client whose SYN was dropped sends it again after a second. */
const watchedMs = 1000;

const readTotals = async (perform: Perform): Promise<SocketTotals> => {
  const [totals] = await perform([{ operation: 'ReadSocketTotals' }]);
  return valueOf(totals);
};

/** Where anything was lost since the namespace was made, waits until a second has passed: is it being lost now? */
const readNamespace = async (perform: Perform, { mostDestinations, signal }: ObserveOptions) => {
  const began = performance.now();
  const watched = (): number => performance.now() - began;
  const totals = await readTotals(perform);
  const settings = await readSettings(perform);
  const [sockets] = await perform([{ operation: 'ReadTcpSockets', mostDestinations }]);
  const lost = (totals.listenDrops ?? 0) + (totals.timeWaitOverflows ?? 0);
  if (lost > 0) await delay(Math.max(0, watchedMs - watched()), undefined, { signal });
  const totalsAfter = await readTotals(perform);
  return { settings, totals, sockets: valueOf(sockets), totalsAfter, watchedSeconds: watched() / 1000 };
};

export interface ObserveOptions {
  /** How many destinations to name, those that use most ports first. */
  readonly mostDestinations: number;
  readonly signal: AbortSignal;
}

/** Totals first, then one pass over the sockets. @throws LinuxError */
export const observe = async (target: Target, options: ObserveOptions): Promise<Observation> => {
  const { signal } = options;
  const began = performance.now();
  const node = await readNodeFacts({ signal });
  const { processes, unreadable } = await readProcessUses(target, signal);
  const inside = await withNamespace(target, signal, async (perform) => readNamespace(perform, options));
  const seconds = (performance.now() - began) / 1000;
  return { target, node, processes, unreadableProcesses: unreadable, ...inside, seconds };
};
