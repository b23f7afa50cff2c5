import type { Assumption } from './demand.ts';

export type Stage =
  | 'Process'
  | 'Socket'
  | 'Namespace'
  | 'Container'
  | 'Node'
  | 'Sidecar'
  | 'NAT'
  | 'LoadBalancer'
  | 'Clients'
  | 'Destination';

export type LimitName =
  | 'RLIMIT_NOFILE'
  | 'net.ipv4.ip_local_port_range'
  | 'SourcePorts'
  | 'AcceptQueue'
  | 'SynQueue'
  | 'net.ipv4.tcp_max_tw_buckets'
  | 'MemoryLimit'
  | 'fs.nr_open'
  | 'fs.file-max'
  | 'net.netfilter.nf_conntrack_max'
  | 'net.ipv4.tcp_mem'
  | 'fs.epoll.max_user_watches'
  | 'MemoryTotal'
  | 'TranslatorPorts'
  | 'ClientPorts'
  | 'MaxConnectionsPerAddress';

export type Scope = 'Process' | 'Pod' | 'Node' | 'Path';
export type Unit = 'connections' | 'descriptors' | 'ports' | 'addresses' | 'bytes' | 'pages' | 'entries' | 'perSecond';
export type Status = 'Sufficient' | 'Raised' | 'Binding' | 'Unknown';

/**
 * The arithmetic of every limit, so that planning, solving for the reachable number and explaining are one formula each:
 *
 *   needed = sharers × ( ⌈connections × share⌉ × factor + ⌈rate × share × seconds⌉ + fixed )
 *
 * Two of 4 pods on a node, a tenth of 275,000 connections to the busiest target, 1,100 closes/s that linger for 120 s:
 * 2 × (27,500 + 110 × 120) = 81,400.
 */
export interface Terms {
  readonly sharers: number;
  /** With headroom, and as declared. */
  readonly connections: number;
  readonly declared: number;
  readonly rate: number;
  readonly declaredRate: number;
  readonly seconds: number;
  /** The share of the busiest target or process is numerator ÷ denominator. */
  readonly numerator: number;
  readonly denominator: number;
  readonly factor: number;
  readonly fixed: number;
}

export const noTerms: Terms = {
  sharers: 1,
  connections: 0,
  declared: 0,
  rate: 0,
  declaredRate: 0,
  seconds: 0,
  numerator: 1,
  denominator: 1,
  factor: 1,
  fixed: 0,
};

const saturated = (value: number): number => Math.min(value, Number.MAX_SAFE_INTEGER);

/** Rounds up what is more than arithmetic noise: 1.1/s × 120 s is 132, not 133. */
const roundedUp = (value: number): number => Math.ceil(value - 1e-6);

export const neededFor = (terms: Terms): number => {
  const { sharers, connections, rate, seconds, numerator, denominator, factor, fixed } = terms;
  const live = roundedUp((connections * numerator) / denominator) * factor;
  const lingering = roundedUp((rate * numerator * seconds) / denominator);
  return saturated(sharers * (live + lingering + fixed));
};

/** The connections that fit into `capacity` at the declared rate, without headroom: the formula above solved for them. */
const reachableWithin = (terms: Terms, capacity: number): number => {
  const { sharers, declaredRate, seconds, numerator, denominator, factor, fixed } = terms;
  const lingering = roundedUp((declaredRate * numerator * seconds) / denominator);
  const live = Math.floor((Math.floor(capacity / sharers) - lingering - fixed) / factor);
  return Math.max(0, Math.floor((live * denominator) / numerator));
};

/**
 * Count: holds connections, so it bounds the reachable number. Rate: only its rate can fall short. Advice: never binds.
 */
export type Kind = 'Count' | 'Rate' | 'Advice';

export interface Limit {
  readonly stage: Stage;
  readonly limit: LimitName;
  readonly scope: Scope;
  /** The flow, or "" for what concerns several. */
  readonly flow: string;
  /** The container or translator that has the limit, "" otherwise. */
  readonly subject: string;
  readonly unit: Unit;
  readonly kind: Kind;
  readonly terms: Terms;
  readonly needed: number;
  /** What holds without us; for a binding limit the most that it can be raised to; undefined: Unknown. */
  readonly capacity: number | undefined;
  /** What something of ours can raise it to; undefined: nothing of ours sets it. */
  readonly raisable: number | undefined;
  readonly status: Status;
  /** Connections of the flows it concerns that it lets through, without headroom; Infinity where it bounds none. */
  readonly reachable: number;
  /** Indices of the flows it concerns, inbound first; undefined: all. */
  readonly concerns: readonly number[] | undefined;
}

export interface LimitRow {
  readonly stage: Stage;
  readonly limit: LimitName;
  readonly scope: Scope;
  readonly flow?: string;
  readonly subject?: string;
  readonly unit: Unit;
  readonly kind?: Kind;
  readonly terms: Terms;
  /** What holds without us; undefined: Unknown. */
  readonly capacity: number | undefined;
  /** What we can raise it to; default: nothing of ours sets it. */
  readonly raisable?: number;
  /** Something of ours is set for it, also where the need as it is then would have fitted before. */
  readonly isSet?: boolean;
  readonly concerns?: readonly number[] | undefined;
}

const statusFor = (needed: number, row: LimitRow): Status => {
  if (row.capacity === undefined) return 'Unknown';
  if (needed <= row.capacity) return row.isSet === true ? 'Raised' : 'Sufficient';
  if (needed <= (row.raisable ?? row.capacity)) return 'Raised';
  return row.kind === 'Advice' ? 'Unknown' : 'Binding';
};

export const limitFor = (row: LimitRow): Limit => {
  const { kind = 'Count', capacity, terms } = row;
  const needed = neededFor(terms);
  const status = statusFor(needed, row);
  const most = capacity === undefined ? undefined : Math.max(capacity, row.raisable ?? 0);
  return {
    stage: row.stage,
    limit: row.limit,
    scope: row.scope,
    flow: row.flow ?? '',
    subject: row.subject ?? '',
    unit: row.unit,
    kind,
    terms,
    needed,
    capacity: status === 'Binding' ? most : status === 'Unknown' ? undefined : capacity,
    raisable: row.raisable,
    status,
    reachable: kind === 'Count' && most !== undefined ? reachableWithin(terms, most) : Infinity,
    concerns: row.concerns,
  };
};

/** What one stage of the path adds to the plan. */
export interface StageOutcome {
  readonly limits: readonly Limit[];
  readonly sysctls: readonly Sysctl[];
  readonly assumptions: readonly Assumption[];
}

export interface Sysctl {
  readonly name: string;
  readonly value: string;
  /** Kubelet: by spec.securityContext.sysctls, which the webhook patches. Agent: in the pod's namespace. */
  readonly setBy: 'Kubelet' | 'Agent';
}
