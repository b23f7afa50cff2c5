import { readdirSync } from 'node:fs';

import { canRaiseNofile, readEffectiveCapabilities } from '../linux/capabilities.ts';
import { LinuxError } from '../linux/linux-error.ts';
import type { NamespaceWorker } from '../linux/namespace-worker.ts';
import { type NodeFacts, type NodeFactsOptions, readNodeFacts } from '../linux/node-facts.ts';
import { readProcessFile } from '../linux/proc.ts';
import { readNofile } from '../linux/rlimits.ts';

/** Names of container runtimes as proc_pid_comm(5) has them. */
export const runtimeNames = ['containerd', 'crio'] as const;

interface Candidate {
  readonly pid: number;
  readonly hard: number;
  readonly canRaise: boolean;
}

/**
 * The process of the container runtime. Where several have such a name (Docker has a containerd of its own), the one that
 * can give the least: a limit that cannot be set fails a container, a lower one is repaired.
 */
function findRuntime(procRoot: string, names: readonly string[]): number | undefined {
  const pids = readdirSync(procRoot).filter((name) => /^\d+$/.test(name));
  const candidates = pids.flatMap((pid) => candidateOf(Number(pid), names, procRoot));
  const [least] = candidates.toSorted((a, b) => Number(a.canRaise) - Number(b.canRaise) || a.hard - b.hard);
  return least?.pid;
}

export interface SeenNode {
  readonly facts: NodeFacts;
  /** The node's own network namespace: the runtime's. */
  readonly netnsPath: string;
}

export interface NodeOptions {
  readonly procRoot: string;
  readonly runtimeNames: readonly string[];
  readonly worker: NamespaceWorker;
  readonly onError: (error: unknown) => void;
  readonly signal: AbortSignal;
}

/**
 * What this node offers. Without a runtime's process what it gives and can give is Unknown: this process' own limits say
 * nothing of it. Throws LinuxError.
 */
export async function readNode(options: NodeOptions): Promise<SeenNode> {
  const { procRoot, runtimeNames: names, signal } = options;
  const runtimePid = findRuntime(procRoot, names);
  const netnsPath = `${procRoot}/${runtimePid ?? 1}/ns/net`;
  const known = { procRoot, signal, ...(runtimePid === undefined ? {} : { runtimePid }) };
  const facts = await readFactsIn(known, netnsPath, options);
  const unknown = { runtimeNofile: undefined, runtimeCanRaiseNofile: undefined, settableNofile: undefined };
  return { facts: runtimePid === undefined ? { ...facts, ...unknown } : facts, netnsPath };
}

/** Where the node's namespace is closed to this process, its own one still tells what is the machine's. */
async function readFactsIn(
  known: NodeFactsOptions,
  netnsPath: string,
  { worker, onError }: NodeOptions,
): Promise<NodeFacts> {
  try {
    return await readNodeFacts({ ...known, nodeNamespace: { worker, netnsPath } });
  } catch (error) {
    if (known.signal.aborted) throw error;
    onError(error);
    return readNodeFacts(known);
  }
}

function candidateOf(pid: number, names: readonly string[], procRoot: string): readonly Candidate[] {
  try {
    if (!names.includes(readProcessFile(pid, 'comm', procRoot).trim())) return [];
    const canRaise = canRaiseNofile(readEffectiveCapabilities({ pid, procRoot }));
    return [{ pid, hard: readNofile(pid, procRoot).hard, canRaise }];
  } catch (error) {
    if (error instanceof LinuxError && error.kind === 'Gone') return [];
    throw error;
  }
}
