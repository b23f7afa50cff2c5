import type { Demand, InboundFlow, OutboundFlow, Translator } from '../planner/demand.ts';
import { addressSpan, type FarEndMaximum, farEndOf, farEndRules } from './far-end.ts';
import type { Endpoint, Listener, OpenPlan } from './holder-protocol.ts';
import { ipText, linkBatches, type Router, routerRules, translatedAddressBatch } from './topology-text.ts';
import { openingSidecar, type PodSysctl, type ProofState } from './proof-state.ts';

export type NamespaceName = 'pod' | 'peer' | `router-${number}`;

interface ProofNamespace {
  readonly name: NamespaceName;
  /** For `ip -batch`, inside it. */
  readonly addresses: string;
  /** For `nft -f`, inside it; "" where nothing is translated. */
  readonly rules: string;
  readonly sysctls: readonly PodSysctl[];
}

interface ProofLink {
  readonly from: NamespaceName;
  readonly to: NamespaceName;
  /** For `ip -batch`, inside `from`; PEER stands for the process that keeps `to`. */
  readonly batch: string;
}

/** How the connections of a flow are opened, and where they arrive: indices into the listeners of the accepting side. */
export interface FlowWiring {
  readonly flow: string;
  readonly direction: 'Inbound' | 'Outbound';
  readonly container: number;
  /** The sidecar in the pod that opens it; undefined: the side across. */
  readonly sidecar: string | undefined;
  readonly connections: number;
  readonly open: OpenPlan;
  readonly listeners: readonly number[];
  readonly window: number;
  readonly translators: readonly Translator[];
  /** What the far end itself takes: by each of its addresses, or in all where those are not the targets. */
  readonly farEnd: FarEndMaximum | undefined;
}

export interface Topology {
  readonly namespaces: readonly ProofNamespace[];
  readonly links: readonly ProofLink[];
  readonly flows: readonly FlowWiring[];
  /** Of the peer; those of the pod are by container. */
  readonly peerListeners: readonly Listener[];
  readonly podListeners: readonly (readonly Listener[])[];
}

// RFC 6598, free inside namespaces of our own: four million addresses of peers, all local to theirs by one route.
const firstPeerIp = 0x6440_0001;
const podIp = 0x0a00_0002;
// 127.0.0.6, which Istio's sidecar dials from.
const firstSidecarIp = 0x7f00_0006;
const firstTargetPort = 10_000;
const peerBacklog = 16_384;
/** Opened but not yet accepted: half of what any accept queue of ours takes. */
const largestWindow = 2048;
/** 1 s + 2 s + 4 s: a SYN that a full translator drops is given up after 7 s, not after 127 s. */
const translatedSynRetries = 2;
/** Client ports of peers that nobody declared: those above the privileged ones. */
const undeclaredClientPorts = 64_512;

interface Block {
  readonly first: number;
  readonly count: number;
}

/** Hands out addresses of the peer namespace; the same key gives the same ones again. */
const addressBook = () => {
  const known = new Map<string, Block>();
  let next = firstPeerIp;
  return (key: string, count: number): Block => {
    const found = known.get(key);
    if (found !== undefined && found.count >= count) return found;
    const block = { first: next, count };
    next += count;
    known.set(key, block);
    return block;
  };
};

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, at) => at);

/** Targets by key have an address each: what two flows share is the same tuple. Others: addresses × ports. */
const targetsFor = (flow: OutboundFlow, blockFor: ReturnType<typeof addressBook>): readonly Endpoint[] => {
  const total = flow.destinationAddresses * flow.destinationPorts;
  if (flow.targets.length === total)
    return flow.targets.map((key) => ({ ip: blockFor(`target ${key}`, 1).first, port: firstTargetPort }));
  const addresses = Math.min(flow.destinationAddresses, Math.ceil(flow.connections / flow.destinationPorts));
  const { first } = blockFor(flow.targets.length === 0 ? `flow ${flow.name}` : flow.targets.join(), addresses);
  const ports = range(flow.destinationPorts);
  return ports.flatMap((port) => range(addresses).map((at) => ({ ip: first + at, port: firstTargetPort + port })));
};

/** Whether the program binds nothing and has every address nevertheless. */
const isSpread = ({ binding }: OutboundFlow, { spreading }: ProofState): boolean =>
  binding === 'Late' && spreading !== undefined;

const sourceFor = (flow: OutboundFlow, state: ProofState): OpenPlan['source'] => {
  if (flow.binding === 'Early') return { kind: 'Early' };
  if (flow.binding === 'Explicit') return { kind: 'Ports', low: 1, count: 65_535 };
  const { low, high } = state.plan.portRange;
  // Where nothing can be spread, the socket option stands in: it has no cliff either.
  const standsIn = flow.portSelection === 'Spread' && state.phase === 'after' && !isSpread(flow, state);
  return { kind: 'Kernel', range: flow.portSelection === 'Program' || standsIn ? [low, high] : undefined };
};

export const podSourceIps = ({ plan }: ProofState): readonly number[] =>
  range(plan.sourceAddresses.total).map((at) => (at === 0 ? podIp : podIp + 0x100 + at));

const translatorsOf = (path: readonly Translator[]): readonly Translator[] =>
  path.filter(({ portsPerAddress }) => portsPerAddress !== undefined);

const retriesFor = (path: readonly Translator[]): number | undefined =>
  translatorsOf(path).length === 0 ? undefined : translatedSynRetries;

const outboundWiring = (flow: OutboundFlow, targets: readonly Endpoint[], state: ProofState): FlowWiring => {
  // A socket that the program binds itself is left alone by a transparent spread.
  const hasAll = flow.binding === 'Late' || state.demand.extraAddresses.spread === 'Application';
  const addresses = hasAll ? podSourceIps(state) : [podIp];
  const source = sourceFor(flow, state);
  const busiestPercent = busiestPercentOf(flow, targets.length);
  const needsBind = source.kind !== 'Kernel' || (addresses.length > 1 && !isSpread(flow, state));
  return {
    flow: flow.name,
    direction: 'Outbound',
    container: flow.container,
    sidecar: undefined,
    connections: flow.connections,
    open: {
      targets,
      busiestPercent,
      sourceIps: needsBind ? addresses : [],
      source,
      synRetries: retriesFor(flow.path),
      // Uneven: the others would go on while the busiest address refuses already.
      oneByOne: flow.maxConnectionsPerAddress !== undefined && busiestPercent !== undefined,
    },
    listeners: [...new Set(targets.map(({ port }) => port - firstTargetPort))],
    window: largestWindow,
    translators: translatorsOf(flow.path),
    farEnd: farEndOf(flow, targets),
  };
};

/** A share below the even one is no busiest target. */
const busiestPercentOf = ({ largestSharePercent = 0 }: OutboundFlow, targets: number): number | undefined =>
  largestSharePercent * targets > 100 ? largestSharePercent : undefined;

/** As many client addresses as are declared, or as are needed where that is more than enough. */
const clientsFor = ({ clients, connections }: InboundFlow): { readonly addresses: number; readonly ports: number } => {
  const ports = Math.min(clients?.portsPerAddress ?? undeclaredClientPorts, 65_535);
  const enough = Math.ceil(connections / ports);
  return { addresses: Math.min(clients?.addresses ?? enough, Math.max(enough, 1000)), ports };
};

const somaxconnOf = ({ sysctls }: ProofState): number =>
  Number(sysctls.find(({ name }) => name === 'net.core.somaxconn')?.value ?? 4096);

/** A sidecar dials from loopback addresses of its own, bound late, with the pod's ports. */
const sidecarSource = (flow: InboundFlow): Pick<OpenPlan, 'sourceIps' | 'source'> | undefined => {
  const sidecar = openingSidecar(flow);
  return (
    sidecar && {
      sourceIps: range(sidecar.addresses).map((at) => firstSidecarIp + at),
      source: { kind: 'Kernel', range: undefined },
    }
  );
};

const inboundWiring = (
  flow: InboundFlow,
  wired: { readonly block: Block; readonly listener: number; readonly state: ProofState },
): FlowWiring => {
  const { addresses, ports } = clientsFor(flow);
  const queue = Math.min(flow.listenBacklog, somaxconnOf(wired.state)) + 1;
  return {
    flow: flow.name,
    direction: 'Inbound',
    container: flow.container,
    sidecar: openingSidecar(flow)?.name,
    connections: flow.connections,
    open: {
      targets: [{ ip: podIp, port: flow.port }],
      busiestPercent: undefined,
      sourceIps: range(addresses).map((at) => wired.block.first + at),
      source: { kind: 'Ports', low: Math.max(1, Math.min(1024, 65_536 - ports)), count: ports },
      synRetries: retriesFor(flow.path),
      ...sidecarSource(flow),
    },
    listeners: range(flow.listenSockets).map((at) => wired.listener + at),
    window: Math.max(1, Math.min(largestWindow, Math.floor(queue / 2))),
    translators: translatorsOf(flow.path),
    farEnd: undefined,
  };
};

const wiringFor = (state: ProofState): readonly FlowWiring[] => {
  const { demand } = state;
  const blockFor = addressBook();
  const seen = demand.containers.map(() => 0);
  const inbound = demand.inbound.map((flow) => {
    const listener = seen[flow.container] ?? 0;
    seen[flow.container] = listener + flow.listenSockets;
    const block = blockFor(`clients ${flow.name}`, clientsFor(flow).addresses);
    return inboundWiring(flow, { block, listener, state });
  });
  // Early binding takes a port for all destinations, so it goes first: what it needs is what the others lack.
  const early = demand.outbound.filter(({ binding }) => binding === 'Early');
  const rest = demand.outbound.filter(({ binding }) => binding !== 'Early');
  return [...inbound, ...[...early, ...rest].map((flow) => outboundWiring(flow, targetsFor(flow, blockFor), state))];
};

const routersFor = (flows: readonly FlowWiring[]): readonly Router[] =>
  flows.flatMap(({ direction, open, translators }) => {
    const ips = direction === 'Outbound' ? open.targets.map(({ ip }) => ip) : open.sourceIps;
    const ordered = direction === 'Outbound' ? translators : translators.toReversed();
    return ordered.map((translator) => ({
      translator,
      portsPerAddress: translator.portsPerAddress ?? 0,
      direction,
      podPort: direction === 'Inbound' ? (open.targets[0]?.port ?? 0) : 0,
      peers: addressSpan(ips),
      targets: direction === 'Outbound' ? open.targets.length : 1,
    }));
  });

const forwarding: readonly PodSysctl[] = [{ name: 'net.ipv4.ip_forward', value: '1' }];
const peerSysctls: readonly PodSysctl[] = [{ name: 'net.core.somaxconn', value: '65535' }];

const podListenersFor = ({ inbound, containers }: Demand): Topology['podListeners'] =>
  containers.map((_, index) =>
    inbound
      .filter(({ container }) => container === index)
      .flatMap(({ port, listenBacklog: backlog, listenSockets }) =>
        range(listenSockets).map(() => ({ port, backlog, isOneOfMany: listenSockets > 1 })),
      ),
  );

/**
 * What a proof makes: the pod's namespace, one for all its peers, and between them a router for each translator on a flow's
 * way, as a chain of links: pod – router-1 – … – peer.
 */
export const topologyFor = (state: ProofState): Topology => {
  const flows = wiringFor(state);
  const routers = routersFor(flows);
  const names: readonly NamespaceName[] = ['pod', ...routers.map((_, at) => `router-${at + 1}` as const), 'peer'];
  const batches = linkBatches(routers.length);
  const extra = podSourceIps(state).slice(1).map(ipText);
  const portCount = Math.max(0, ...state.demand.outbound.map(({ destinationPorts }) => destinationPorts));
  return {
    namespaces: names.map((name, at) => ({
      name,
      addresses: batches.addressesOf(at, name === 'pod' ? extra : []) + translatedAddressBatch(routers[at - 1], at),
      rules:
        name === 'peer' ? farEndRules(flows.flatMap(({ farEnd }) => farEnd ?? [])) : routerRules(routers[at - 1], at),
      sysctls: name === 'pod' ? state.sysctls : name === 'peer' ? peerSysctls : forwarding,
    })),
    links: names.slice(1).map((to, at) => ({ from: names[at] ?? 'pod', to, batch: batches.link })),
    flows,
    peerListeners: range(portCount).map((port) => ({
      port: firstTargetPort + port,
      backlog: peerBacklog,
      isOneOfMany: false,
    })),
    podListeners: podListenersFor(state.demand),
  };
};
