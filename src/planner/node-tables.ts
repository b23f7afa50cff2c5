import type { Demand, NodeFacts } from './demand.ts';
import { conntrackLingerSeconds, queuedPages } from './kernel.ts';
import { type Limit, limitFor, type LimitName, noTerms, type Terms, type Unit } from './limit.ts';
import { type Load, type Loads, sumOf, termsFor } from './load.ts';

export interface NodeMinimum {
  readonly name: string;
  readonly minimum: number;
}

interface NodeTable {
  readonly limit: LimitName;
  readonly unit: Unit;
  readonly terms: Partial<Terms>;
  readonly capacity: number | undefined;
}

const withoutRate = { rate: 0, declaredRate: 0 } as const;

/** What an average connection takes of a table, so that the reachable number can be solved for. */
const perConnection = (loads: Loads, amount: (load: Load) => number): number => {
  const connections = sumOf(loads.all, (load) => load.connections);
  return Math.ceil(sumOf(loads.all, (load) => load.connections * amount(load)) / Math.max(1, connections));
};

/** Open files of a pod: a struct file per descriptor, two for each sidecar, and the reserved ones of every process. */
const fileTerms = (demand: Demand, loads: Loads): Partial<Terms> => {
  const own = ({ flow }: Load): number => demand.containers[flow.container]?.descriptorsPerConnection ?? 1;
  const reserved = sumOf(demand.containers, (container) => container.processes * container.reservedDescriptors);
  return { ...withoutRate, factor: perConnection(loads, (load) => own(load) + load.sockets - 1), fixed: reserved };
};

/**
 * Tables that all pods of a node share, so the need of one pod counts once per planned pod there. conntrack keeps a closed
 * connection for 120 s: 2 pods × (275,000 + 1,100/s × 120 s) = 814,000.
 */
const nodeTables = (demand: Demand, loads: Loads, node: NodeFacts): readonly NodeTable[] => {
  const pages = queuedPages(demand.queuedReceiveBytes) + queuedPages(demand.queuedSendBytes);
  const tables: NodeTable[] = [
    {
      limit: 'net.netfilter.nf_conntrack_max',
      unit: 'entries',
      terms: { seconds: conntrackLingerSeconds },
      // 0 is no limit.
      capacity: node.conntrackMax === 0 ? undefined : node.conntrackMax,
    },
    { limit: 'fs.file-max', unit: 'descriptors', terms: fileTerms(demand, loads), capacity: node.fileMax },
    {
      limit: 'fs.epoll.max_user_watches',
      unit: 'entries',
      terms: { ...withoutRate, factor: perConnection(loads, (load) => load.sockets) },
      capacity: node.epollMaxUserWatches,
    },
  ];
  if (pages > 0) {
    tables.push({
      limit: 'net.ipv4.tcp_mem',
      unit: 'pages',
      terms: { ...withoutRate, factor: pages },
      capacity: node.tcpMemMaximumPages,
    });
  }
  return tables;
};

export const planNodeTables = (
  demand: Demand,
  loads: Loads,
  node: NodeFacts,
): { readonly limits: readonly Limit[]; readonly minimums: readonly NodeMinimum[] } => {
  const shared = { ...noTerms, ...termsFor(loads.all), sharers: loads.podsPerNodeWithSurge };
  const limits = nodeTables(demand, loads, node).map(({ limit, unit, terms, capacity }) =>
    limitFor({ stage: 'Node', limit, scope: 'Node', unit, terms: { ...shared, ...terms }, capacity }),
  );
  return { limits, minimums: limits.map(({ limit, needed }) => ({ name: limit, minimum: needed })) };
};
