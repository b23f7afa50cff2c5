import type { SpreadPod } from '../linux/spread/pod-entry.ts';
import type { Demand, InboundFlow, NodeFacts, OutboundFlow, PortRange, Translator } from '../planner/demand.ts';
import { sidecarDescriptorsPerConnection } from '../planner/descriptors.ts';
import { defaultNofile, defaultPortRange, defaultSomaxconn } from '../planner/kernel.ts';
import { plan, type Plan } from '../planner/plan.ts';

/** What is proven: the pod as Kubernetes makes it by default, or as the plan makes it. */
export type Phase = 'before' | 'after';

export interface PodSysctl {
  readonly name: string;
  readonly value: string;
}

/** What an unmodified program of the planned pod gets from us. */
export interface Spreading {
  readonly chooses: SpreadPod['chooses'];
}

/** A pod to make and to fill: its demand as it is opened, the planner's answer to it, and the sysctls of its namespace. */
export interface ProofState {
  readonly phase: Phase;
  readonly demand: Demand;
  readonly plan: Plan;
  /** The most descriptors that a process of this pod may have, whatever the plan gives it. */
  readonly mostNofile: number;
  readonly sysctls: readonly PodSysctl[];
  /** What is chosen for an unmodified program; undefined: the program chooses, or the kernel. */
  readonly spreading?: Spreading | undefined;
}

export interface ProofInput {
  readonly demand: Demand;
  readonly plan: Plan;
  readonly facts: NodeFacts;
  /** 1: as declared; 0.01: ranges, limits and counts a hundredth of it. */
  readonly scale: number;
  readonly spreading?: Spreading | undefined;
}

const scaledCount = (count: number, scale: number): number => Math.max(1, Math.round(count * scale));

/** An even number of ports, for of an odd one the kernel may lose one: 28,232 × 0.01 = 282. */
const scaledRange = ({ low, high }: PortRange, scale: number): PortRange => {
  const ports = Math.max(2, 2 * Math.round(((high - low + 1) * scale) / 2));
  return { low, high: low + ports - 1 };
};

const withSurge = (sharers: number, surgePercent: number): number => Math.ceil((sharers * (100 + surgePercent)) / 100);

/** One pod is proven: of what is shared it has its part. */
const ownPart = (count: number | undefined, sharers: number, factor: number): number | undefined =>
  count === undefined ? undefined : scaledCount(count / sharers, factor);

/** A sidecar that opens what a flow brings to the program, from loopback addresses, with the pod's own ports. */
export const openingSidecar = (flow: InboundFlow | OutboundFlow): Translator | undefined =>
  'binding' in flow
    ? undefined
    : flow.path.find(({ type, portsPerAddress }) => type === 'Sidecar' && portsPerAddress === undefined);

/** Of a flow that a sidecar opens the way to the sidecar is no part of this; other sidecars are none either. */
const pathFor = (path: readonly Translator[], { scale }: Demand, factor: number): readonly Translator[] =>
  path
    .filter(({ type }) => type !== 'Sidecar')
    .map((translator) => {
      const pods = { Pod: 1, Node: scale.podsPerNode, Cluster: scale.pods }[translator.sharedBy];
      const sharers = translator.sharedBy === 'Pod' ? 1 : withSurge(pods, scale.surgePercent);
      return { ...translator, sharedBy: 'Pod', portsPerAddress: ownPart(translator.portsPerAddress, sharers, factor) };
    });

/** Connections are opened and held: nothing closes, and no burst waits. */
const heldFlow = <F extends InboundFlow | OutboundFlow>(flow: F, demand: Demand, factor: number): F => ({
  ...flow,
  connections: scaledCount(flow.connections, factor),
  closesPerSecond: 0,
  path: [openingSidecar(flow)].flatMap((sidecar) => sidecar ?? pathFor(flow.path, demand, factor)),
});

const isSidecarAlone = ({ containers, inbound, outbound }: Demand, index: number): boolean =>
  inbound.some((flow) => openingSidecar(flow)?.name === containers[index]?.name) &&
  [...inbound, ...outbound].every(({ container }) => container !== index);

const heldDemand = (demand: Demand, scale: number): Demand => ({
  ...demand,
  scale: { pods: 1, podsPerNode: 1, surgePercent: 0 },
  containers: demand.containers.map((container, index) => ({
    ...container,
    descriptorsPerConnection: isSidecarAlone(demand, index)
      ? sidecarDescriptorsPerConnection
      : container.descriptorsPerConnection,
    reservedDescriptors: Math.round(container.reservedDescriptors * scale),
    memoryPerConnectionBytes: 0,
    memoryLimitBytes: undefined,
  })),
  inbound: demand.inbound.map((flow) => ({
    ...heldFlow(flow, demand, scale),
    opensPerSecond: 0,
    listenBacklog: scaledCount(flow.listenBacklog, scale),
    clients:
      openingSidecar(flow) === undefined && flow.clients
        ? {
            ...flow.clients,
            portsPerAddress: scaledCount(flow.clients.portsPerAddress, scale),
          }
        : undefined,
  })),
  outbound: demand.outbound.map((flow) => ({
    ...heldFlow(flow, demand, scale),
    maxConnectionsPerAddress: ownPart(
      flow.maxConnectionsPerAddress,
      withSurge(demand.scale.pods, demand.scale.surgePercent),
      scale,
    ),
  })),
  queuedReceiveBytes: 0,
  queuedSendBytes: 0,
});

const withRange = (demand: Demand, portRange: PortRange, maximumExtra: number): Demand => ({
  ...demand,
  pod: { ...demand.pod, portRange },
  extraAddresses: { ...demand.extraAddresses, maximumExtra },
});

const reservedIn = (ports: readonly number[], { low, high }: PortRange): string =>
  ports.filter((port) => port >= low && port <= high).join(',');

const isPortSetting = (name: string): boolean => name.startsWith('net.ipv4.ip_local_');

const defaultState = ({ demand, facts, scale }: ProofInput): ProofState => {
  const range = scaledRange(demand.pod.portRange ?? defaultPortRange, scale);
  const soft = scaledCount(defaultNofile.soft, scale);
  // A program that raises its own soft limit has the hard one.
  const raisesItself = demand.containers.some(({ softPlanned }) => !softPlanned);
  const hard = raisesItself ? scaledCount(defaultNofile.hard, scale) : soft;
  const held = withRange(heldDemand(demand, scale), range, 0);
  return {
    phase: 'before',
    demand: held,
    plan: plan(held, { ...facts, runtimeNofile: { soft, hard }, settableNofile: hard }),
    mostNofile: hard,
    sysctls: [
      { name: 'net.ipv4.ip_local_port_range', value: `${range.low} ${range.high}` },
      { name: 'net.core.somaxconn', value: String(scaledCount(defaultSomaxconn, scale)) },
    ],
  };
};

const plannedState = ({ demand, plan: whole, facts, scale, spreading }: ProofInput): ProofState => {
  const range = scaledRange(whole.portRange, scale);
  const held = withRange(heldDemand(demand, scale), range, whole.sourceAddresses.extra);
  const soft = scaledCount(defaultNofile.soft, scale);
  const hard = scaledCount(defaultNofile.hard, scale);
  // What one process may not hold here, several hold in its place, up to what the kernel allows at all.
  const settableNofile = facts.nrOpen === undefined ? undefined : scaledCount(facts.nrOpen, scale);
  const somaxconn = whole.sysctls.find(({ name }) => name === 'net.core.somaxconn')?.value ?? defaultSomaxconn;
  const reserved = reservedIn(whole.reservedPorts, range);
  return {
    phase: 'after',
    spreading,
    demand: held,
    plan: plan(held, { ...facts, runtimeNofile: { soft, hard }, settableNofile, nrOpen: settableNofile }),
    mostNofile: settableNofile ?? Number.POSITIVE_INFINITY,
    sysctls: [
      ...whole.sysctls.filter(({ name }) => !isPortSetting(name) && name !== 'net.core.somaxconn'),
      { name: 'net.ipv4.ip_local_port_range', value: `${range.low} ${range.high}` },
      ...(reserved === '' ? [] : [{ name: 'net.ipv4.ip_local_reserved_ports', value: reserved }]),
      { name: 'net.core.somaxconn', value: String(scaledCount(Number(somaxconn), scale)) },
    ],
  };
};

/** Descriptors that a process of a container has in this state: what it is given, or raises itself to. */
export const nofileOf = ({ demand, plan: planned, mostNofile }: ProofState, container: number): number => {
  const { soft, hard } = planned.containers[container]?.descriptors ?? { soft: 0, hard: 0 };
  return Math.min(demand.containers[container]?.softPlanned === false ? hard : soft, mostNofile);
};

export const stateFor = (phase: Phase, input: ProofInput): ProofState =>
  phase === 'before' ? defaultState(input) : plannedState(input);
