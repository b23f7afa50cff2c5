import { readFileSync } from 'node:fs';

import { readNodeFacts } from '../linux/node-facts.ts';
import type { Demand, NodeFacts } from '../planner/demand.ts';
import { bytesText, numberText } from '../planner/explain.ts';
import { bindBucketBytes, socketBytes } from '../planner/kernel.ts';
import type { HostSetting, HostSettingName } from './host-settings.ts';
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
  /** Of a table that a proof shares with everything else on this machine, and must not fill. */
  readonly filesLeft: number;
}

/** Translators and far ends that count make the kernel track connections: without one its table is no limit here. */
const isTracked = ({ inbound, outbound }: Demand): boolean =>
  outbound.some(({ maxConnectionsPerAddress }) => maxConnectionsPerAddress !== undefined) ||
  [...inbound, ...outbound].some(({ path }) => path.some(({ portsPerAddress }) => portsPerAddress !== undefined));

/** @throws ProveError CannotHere */
export const checkPlatform = (): void => {
  if (process.platform !== 'linux')
    throw new ProveError('CannotHere', `a proof needs Linux; this is ${process.platform}`);
};

export const readMachine = async (demand: Demand, signal: AbortSignal): Promise<Machine> => {
  const facts = await readNodeFacts({ signal });
  const availableKib = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  return {
    facts: { ...facts, conntrackMax: isTracked(demand) ? facts.conntrackMax : undefined },
    hardNofile: facts.runtimeNofile?.hard ?? 1024,
    availableBytes: Number(availableKib ?? 0) * 1024,
    filesLeft: (facts.fileMax ?? Infinity) - (facts.filesUsed ?? 0),
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

/** A limit of the whole machine that binds only because both ends are on it: what it is, and what would do. */
export interface HostShortage extends HostSetting {
  readonly before: number;
  readonly why: string;
}

interface HostTable {
  readonly name: HostSettingName;
  readonly before: number | undefined;
  readonly left: number;
  readonly needed: number;
  /** What a proof may take of what is left. */
  readonly share: number;
}

const hostTables = (count: number, { facts, filesLeft }: Machine): readonly HostTable[] => {
  const ends = 2 * count;
  const { fileMax, epollMaxUserWatches: watches, conntrackMax } = facts;
  return [
    { name: 'fs.file-max', before: fileMax, left: filesLeft, needed: ends, share: 0.95 },
    { name: 'fs.epoll.max_user_watches', before: watches, left: watches ?? Infinity, needed: ends, share: 0.95 },
    // Counted in each namespace for itself; 0 is no limit.
    {
      name: 'net.netfilter.nf_conntrack_max',
      before: conntrackMax,
      left: conntrackMax || Infinity,
      needed: count,
      share: 0.9,
    },
  ];
};

/** 4,000,000 ends where 2,465,000 files are left of 2,466,170: at least 4,211,697 in all. */
export const hostShortages = (demand: Demand, connections: number, machine: Machine): readonly HostShortage[] => {
  const count = Math.min(connections, countOf(demand));
  return hostTables(count, machine).flatMap(({ name, before, left, needed, share }) => {
    if (before === undefined || needed <= share * left) return [];
    const value = Math.ceil(before - left + needed / share);
    const why = `${name} leaves ${numberText(left)}, what ${numberText(count)} connections take with both ends here is ${numberText(needed)}`;
    return [{ name, before, value, why }];
  });
};

/** @throws ProveError CannotHere, with the number, when both ends do not fit into this machine. */
export const checkMemory = (demand: Demand, connections: number, machine: Machine): void => {
  const count = Math.min(connections, countOf(demand));
  const needed = memoryNeededFor(demand, count, machine.hardNofile);
  if (needed <= 0.9 * machine.availableBytes) return;
  throw refused(
    `not enough memory: both ends of ${numberText(count)} connections take ${bytesText(needed)}, ${bytesText(machine.availableBytes)} are available`,
  );
};

/** @throws ProveError CannotHere, when a limit of the machine is too low and nobody asked to raise it. */
export const checkHostLimits = (shortages: readonly HostShortage[]): void => {
  const [first] = shortages;
  if (first !== undefined) throw refused(`${first.why}; --raise-host-limits raises it while the proof runs`);
};
