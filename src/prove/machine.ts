import { readFileSync } from 'node:fs';

import { readNodeFacts } from '../linux/node-facts.ts';
import type { Demand, NodeFacts } from '../planner/demand.ts';
import { bytesText, numberText } from '../planner/explain.ts';
import { bindBucketBytes, socketBytes } from '../planner/kernel.ts';
import { ProveError } from './prove-error.ts';

/** A holder is a Node process. */
const holderBytes = 60_000_000;
/** A keeper shares its memory with the holder that it is a copy of, but for page tables and descriptor table. */
const keeperBytes = 3_000_000;

/** What this machine offers to a proof; its limits on processes are the proof's own to find. */
export interface Machine {
  readonly facts: NodeFacts;
  readonly hardNofile: number;
  readonly availableBytes: number;
  /** Of tables that a proof shares with everything else on this machine, and must not fill. */
  readonly filesLeft: number;
  readonly epollWatches: number;
  readonly conntrackLeft: number;
}

/** Translators alone make the kernel track connections: without one its table is no limit here. */
const isTracked = ({ inbound, outbound }: Demand): boolean =>
  [...inbound, ...outbound].some(({ path }) => path.some(({ portsPerAddress }) => portsPerAddress !== undefined));

export const readMachine = async (demand: Demand, signal: AbortSignal): Promise<Machine> => {
  if (process.platform !== 'linux')
    throw new ProveError('CannotHere', `a proof needs Linux; this is ${process.platform}`);
  const facts = await readNodeFacts({ signal });
  const availableKib = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  return {
    facts: { ...facts, conntrackMax: isTracked(demand) ? facts.conntrackMax : undefined },
    hardNofile: facts.runtimeNofile?.hard ?? 1024,
    availableBytes: Number(availableKib ?? 0) * 1024,
    filesLeft: (facts.fileMax ?? Infinity) - (facts.filesUsed ?? 0),
    epollWatches: facts.epollMaxUserWatches ?? Infinity,
    conntrackLeft: (facts.conntrackMax ?? Infinity) - (facts.conntrackUsed ?? 0),
  };
};

const countOf = (demand: Demand): number =>
  [...demand.inbound, ...demand.outbound].reduce((sum, { connections }) => sum + connections, 0);

/** Both ends of so many connections, and the processes that hold them: 1,000,000 × 2 × 4,015 B + … = 8.7 GB. */
const memoryNeededFor = (demand: Demand, connections: number, hardNofile: number): number => {
  const processes = 1 + demand.containers.reduce((sum, container) => sum + container.processes, 0);
  const keepers = (2 * connections) / Math.max(1, hardNofile - 100);
  return connections * (2 * socketBytes + bindBucketBytes) + processes * holderBytes + keepers * keeperBytes;
};

const refused = (what: string): ProveError =>
  new ProveError('CannotHere', `${what}; prove it smaller with --scale, or on another machine`);

/** Each translator on the way tracks a connection once. */
const trackedEntries = (demand: Demand, connections: number): number => {
  const depth = Math.max(0, ...[...demand.inbound, ...demand.outbound].map(({ path }) => path.length));
  return depth * connections;
};

/** @throws ProveError CannotHere, with the number, when both ends do not fit into this machine. */
export const checkMachine = (demand: Demand, connections: number, machine: Machine): void => {
  const count = Math.min(connections, countOf(demand));
  const both = `both ends of ${numberText(count)} connections`;
  const needed = memoryNeededFor(demand, count, machine.hardNofile);
  if (needed > 0.9 * machine.availableBytes)
    throw refused(
      `not enough memory: ${both} take ${bytesText(needed)}, ${bytesText(machine.availableBytes)} are available`,
    );
  const ends = 2 * count;
  if (ends > 0.95 * machine.filesLeft)
    throw refused(`fs.file-max leaves ${numberText(machine.filesLeft)} open files, ${both} need ${numberText(ends)}`);
  if (ends > 0.95 * machine.epollWatches)
    throw refused(`fs.epoll.max_user_watches is ${numberText(machine.epollWatches)}, ${both} need ${numberText(ends)}`);
  const entries = trackedEntries(demand, count);
  if (entries > 0.9 * machine.conntrackLeft)
    throw refused(
      `nf_conntrack_max leaves ${numberText(machine.conntrackLeft)} entries, the translators on the way need ${numberText(entries)}`,
    );
};
