import type { Demand, NodeFacts } from './demand.ts';
import { bindBucketBytes, smallestMaxTwBuckets, socketBytes, timeWaitBytes, timeWaitSeconds } from './kernel.ts';
import { type Limit, limitFor, noTerms, type StageOutcome } from './limit.ts';
import { type Load, type Loads, sumOf, termsFor } from './load.ts';
import { bytes, type Bytes } from './quantities.ts';

export interface MemoryPlan extends StageOutcome {
  /** What the pod's sockets cost the node. */
  readonly kernelMemoryBytes: Bytes;
  /** What counts against the pod's memory limit: 4 KB a side (cgroup v2 from about 6.12) and the program's own. */
  readonly chargedMemoryBytes: Bytes;
}

/** Kernel bytes of one connection of a flow: its sockets and what waits in their buffers. */
const connectionBytes = (demand: Demand, load: Load): number =>
  load.sockets * socketBytes + demand.queuedReceiveBytes + demand.queuedSendBytes;

const closedByPod = (loads: Loads): readonly Load[] => loads.all.filter((load) => load.flow.closedBy === 'Pod');

const timeWaitLimit = (demand: Demand, loads: Loads, node: NodeFacts): Limit => {
  const closing = closedByPod(loads);
  return limitFor({
    stage: 'Namespace',
    limit: 'net.ipv4.tcp_max_tw_buckets',
    scope: 'Pod',
    unit: 'entries',
    kind: 'Rate',
    terms: { ...noTerms, ...termsFor(closing), connections: 0, declared: 0, seconds: timeWaitSeconds },
    capacity: node.maxTwBuckets ?? smallestMaxTwBuckets,
    ...(demand.pod.hostNetwork ? {} : { raisable: Infinity }),
  });
};

/** The kernel's and the program's memory of each container against its limit. */
const containerLimits = (demand: Demand, loads: Loads): readonly Limit[] =>
  demand.containers.map((container, index) => {
    const own = loads.all.filter((load) => load.flow.container === index);
    const factor =
      Math.max(0, ...own.map((load) => connectionBytes(demand, load))) + container.memoryPerConnectionBytes;
    return limitFor({
      stage: 'Container',
      limit: 'MemoryLimit',
      scope: 'Pod',
      subject: container.name,
      unit: 'bytes',
      terms: { ...noTerms, ...termsFor(own), rate: 0, declaredRate: 0, factor },
      capacity: container.memoryLimitBytes,
      concerns: own.map((load) => load.index),
    });
  });

export const planMemory = (
  demand: Demand,
  loads: Loads,
  surroundings: { readonly node: NodeFacts; readonly ports: number },
): MemoryPlan => {
  const { node, ports } = surroundings;
  const timeWait = timeWaitLimit(demand, loads, node);
  const clients = sumOf(loads.outbound, (load) => load.connections);
  const live = sumOf(loads.all, (load) => load.connections * connectionBytes(demand, load));
  const kernel = live + Math.min(clients, ports) * bindBucketBytes + timeWait.needed * timeWaitBytes;
  const program = sumOf(
    loads.all,
    (load) => load.connections * (demand.containers[load.flow.container]?.memoryPerConnectionBytes ?? 0),
  );
  const nodeMemory = limitFor({
    stage: 'Node',
    limit: 'MemoryTotal',
    scope: 'Node',
    unit: 'bytes',
    terms: {
      ...noTerms,
      ...termsFor(loads.all),
      rate: 0,
      declaredRate: 0,
      sharers: loads.podsPerNodeWithSurge,
      factor: Math.ceil(
        (kernel + program) /
          Math.max(
            1,
            sumOf(loads.all, (load) => load.connections),
          ),
      ),
    },
    capacity: node.memoryBytes,
  });
  const raised = timeWait.status === 'Raised';
  return {
    kernelMemoryBytes: bytes(kernel),
    chargedMemoryBytes: bytes(kernel + program),
    limits: [...containerLimits(demand, loads), ...(timeWait.needed > 0 ? [timeWait] : []), nodeMemory],
    sysctls: raised ? [{ name: 'net.ipv4.tcp_max_tw_buckets', value: String(timeWait.needed), setBy: 'Agent' }] : [],
    assumptions: [],
  };
};
