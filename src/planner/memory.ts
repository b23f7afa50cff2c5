import type { Demand, NodeFacts } from './demand.ts';
import {
  bindBucketBytes,
  largestInteger,
  smallestMaxTwBuckets,
  socketBytes,
  timeWaitBytes,
  timeWaitSeconds,
} from './kernel.ts';
import { type Limit, limitFor, neededFor, noTerms, type StageOutcome, type Terms } from './limit.ts';
import { type Load, type Loads, sumOf, termsFor } from './load.ts';
import { bytes, type Bytes } from './quantities.ts';

export interface MemoryPlan extends StageOutcome {
  /** What the pod's sockets cost the node. */
  readonly kernelMemoryBytes: Bytes;
  /** What counts against the pod's memory limit: 4 KB a side (cgroup v2 from about 6.12) and the program's own. */
  readonly chargedMemoryBytes: Bytes;
}

/** What the memory depends on besides the flows: distinct source tuples, each with a bind bucket. */
interface Surroundings {
  readonly node: NodeFacts;
  readonly sourceTuples: number;
}

const timeWaitTerms = (loads: readonly Load[]): Terms => ({
  ...noTerms,
  ...termsFor(loads.filter((load) => load.flow.closedBy === 'Pod')),
  connections: 0,
  declared: 0,
  seconds: timeWaitSeconds,
});

/** Bytes of a set of flows: what grows with each connection, and what does not. */
interface MemoryNeed {
  readonly live: number;
  readonly program: number;
  /** Sockets in TIME_WAIT, and bind buckets: one for each distinct source tuple that is open or in TIME_WAIT. */
  readonly fixed: number;
}

/** 550,000 accepted connections × 4,015 B = 2.2 GB. */
const memoryNeed = (demand: Demand, loads: readonly Load[], sourceTuples: number): MemoryNeed => {
  const queued = demand.queuedReceiveBytes + demand.queuedSendBytes;
  const programOf = (load: Load): number => demand.containers[load.flow.container]?.memoryPerConnectionBytes ?? 0;
  const outbound = loads.filter((load) => 'binding' in load.flow);
  const tuples = sumOf(outbound, (load) => load.connections) + neededFor(timeWaitTerms(outbound));
  return {
    live: sumOf(loads, (load) => load.connections * (load.sockets * socketBytes + queued)),
    program: sumOf(loads, (load) => load.connections * programOf(load)),
    fixed: Math.min(tuples, sourceTuples) * bindBucketBytes + neededFor(timeWaitTerms(loads)) * timeWaitBytes,
  };
};

/** The mix of flows as bytes of an average connection, so that the reachable number can be solved for. */
const memoryTerms = (loads: readonly Load[], { live, program, fixed }: MemoryNeed): Terms => {
  const { connections, declared } = termsFor(loads);
  return { ...noTerms, connections, declared, factor: Math.ceil((live + program) / Math.max(1, connections)), fixed };
};

const containerLimits = (demand: Demand, loads: Loads, { sourceTuples }: Surroundings): readonly Limit[] =>
  demand.containers.map((container, index) => {
    const own = loads.all.filter((load) => load.flow.container === index);
    return limitFor({
      stage: 'Container',
      limit: 'MemoryLimit',
      scope: 'Pod',
      subject: container.name,
      unit: 'bytes',
      terms: memoryTerms(own, memoryNeed(demand, own, sourceTuples)),
      capacity: container.memoryLimitBytes,
      concerns: own.map((load) => load.index),
    });
  });

/** Above the maximum TIME_WAIT is skipped without an error (TCPTimeWaitOverflow counts), so it is raised. */
const timeWaitLimit = (demand: Demand, loads: Loads, node: NodeFacts): Limit =>
  limitFor({
    stage: 'Namespace',
    limit: 'net.ipv4.tcp_max_tw_buckets',
    scope: 'Pod',
    unit: 'entries',
    kind: 'Rate',
    terms: timeWaitTerms(loads.all),
    capacity: node.maxTwBuckets ?? smallestMaxTwBuckets,
    ...(demand.pod.hostNetwork ? {} : { raisable: Infinity }),
  });

export const planMemory = (demand: Demand, loads: Loads, surroundings: Surroundings): MemoryPlan => {
  const timeWait = timeWaitLimit(demand, loads, surroundings.node);
  const isGuessed = timeWait.needed > 0 && surroundings.node.maxTwBuckets === undefined;
  const need = memoryNeed(demand, loads.all, surroundings.sourceTuples);
  const nodeMemory = limitFor({
    stage: 'Node',
    limit: 'MemoryTotal',
    scope: 'Node',
    unit: 'bytes',
    terms: { ...memoryTerms(loads.all, need), sharers: loads.podsPerNodeWithSurge },
    capacity: surroundings.node.memoryBytes,
  });
  const value = String(Math.min(timeWait.needed, largestInteger));
  return {
    kernelMemoryBytes: bytes(need.live + need.fixed),
    chargedMemoryBytes: bytes(need.live + need.fixed + need.program),
    limits: [...containerLimits(demand, loads, surroundings), ...(timeWait.needed > 0 ? [timeWait] : []), nodeMemory],
    sysctls: timeWait.status === 'Raised' ? [{ name: 'net.ipv4.tcp_max_tw_buckets', value, setBy: 'Agent' }] : [],
    assumptions: isGuessed ? [{ kind: 'TimeWaitBuckets', subject: '', value: smallestMaxTwBuckets }] : [],
  };
};
