import type {
  AddressDemand,
  Assumption,
  AssumptionKind,
  ContainerDemand,
  Demand,
  InboundFlow,
  OutboundFlow,
  PodFacts,
  Translator,
} from '../planner/demand.ts';
import { defaultClientPorts } from '../planner/kernel.ts';
import type { ConnectionBudgetSpec, ContainerSpec, InboundSpec, OutboundSpec } from './connection-budget.ts';
import type { Translator as TranslatorSpec } from './flows.ts';
import { parseBytes } from './quantity.ts';

/** What was seen of a budget's surroundings: in a cluster by the controller, offline in the file beside the budget. */
export interface Observed {
  /** The namespace of the budget. */
  readonly namespace: string;
  /** Pods that match, and the most of them on one node; declared scale wins. */
  readonly scale?: { readonly pods: number; readonly podsPerNode: number } | undefined;
  /** By `namespace/name`. */
  readonly services: ReadonlyMap<string, ObservedService>;
  /** Ready client pods by the name of the inbound flow that selects them. */
  readonly clientPods: ReadonlyMap<string, number>;
  readonly pod?: ObservedPod | undefined;
  /** What the attachment of provider Multus can hand to a pod; undefined: nobody looked. */
  readonly attachment?: AttachmentOffer | undefined;
}

export type AttachmentRefusal = 'AttachmentNotFound' | 'AttachmentNotUsable';

/** The most addresses of each family that one pod can have of an attachment, or why it has none. */
export type AttachmentOffer =
  | { readonly most: number; readonly refusal?: undefined }
  | { readonly most: 0; readonly refusal: { readonly reason: AttachmentRefusal; readonly message: string } };

export interface ObservedService {
  /** Without a cluster address: names resolve to the endpoints. */
  readonly headless: boolean;
  /** Ready endpoints by service port; a port that is missing has not been seen. */
  readonly readyEndpoints: ReadonlyMap<number, number>;
}

/** The facts of a pod that is planned, and of its containers by name. */
export interface ObservedPod extends PodFacts {
  readonly containerNames: readonly string[];
  readonly memoryLimitBytes: ReadonlyMap<string, number>;
}

export const nothingObserved = (namespace: string): Observed => ({
  namespace,
  services: new Map(),
  clientPods: new Map(),
});

type Note = (kind: AssumptionKind, subject: string, value?: number) => void;

/** Defaults that depend on the type of a translator, so no schema default can give them. */
const translatorFor = (spec: TranslatorSpec, note: Note): Translator => {
  const isNat = spec.type === 'NAT';
  const isDeclared = spec.sharedBy !== undefined && spec.lingerSeconds !== undefined;
  if (!isDeclared && spec.portsPerAddress !== undefined) note('TranslatorDefaults', spec.name, isNat ? 120 : 0);
  return {
    type: spec.type,
    name: spec.name,
    addresses: spec.addresses,
    portsPerAddress: spec.portsPerAddress,
    sharedBy: spec.sharedBy ?? (isNat ? 'Cluster' : 'Pod'),
    lingerSeconds: spec.lingerSeconds ?? (isNat ? 120 : 0),
    idleTimeoutSeconds: spec.idleTimeoutSeconds,
  };
};

const containersFor = (spec: ConnectionBudgetSpec, observed: Observed, note: Note): readonly ContainerDemand[] => {
  const declared: readonly ContainerSpec[] = spec.containers ?? [];
  const limits = observed.pod?.memoryLimitBytes;
  if (declared.length === 0) {
    const first = observed.pod?.containerNames[0] ?? '';
    const names = new Set([...spec.inbound, ...spec.outbound].map(({ container }) => container ?? first));
    if (names.has('')) note('ContainerUnnamed', '');
    return [...names].map((name) => ({ ...unnamedContainer, name, memoryLimitBytes: limits?.get(name) }));
  }
  return declared.map(({ name, processes, descriptors, memoryPerConnection }) => ({
    name,
    processes,
    reservedDescriptors: descriptors.reserved,
    descriptorsPerConnection: descriptors.perConnection,
    softPlanned: descriptors.soft === 'Planned',
    memoryPerConnectionBytes: parseBytes(memoryPerConnection),
    memoryLimitBytes: limits?.get(name),
  }));
};

/** The schema's defaults for a budget that lists no container. */
const unnamedContainer = {
  processes: 1,
  reservedDescriptors: 64,
  descriptorsPerConnection: 1,
  softPlanned: true,
  memoryPerConnectionBytes: 0,
} as const;

const clientsFor = (flow: InboundSpec, observed: Observed, note: Note): InboundFlow['clients'] => {
  const { clients } = flow;
  if (clients === undefined) {
    note('ClientsUnbounded', flow.name);
    return undefined;
  }
  const addresses = clients.addresses ?? observed.clientPods.get(flow.name);
  if (addresses === undefined) {
    note('ClientsUnresolved', flow.name);
    return undefined;
  }
  if (clients.portsPerAddress === undefined) note('ClientPortsDefault', flow.name, defaultClientPorts);
  return { addresses, portsPerAddress: clients.portsPerAddress ?? defaultClientPorts };
};

interface Context {
  readonly spec: ConnectionBudgetSpec;
  readonly observed: Observed;
  readonly containers: readonly ContainerDemand[];
  readonly note: Note;
}

const containerIndex = ({ containers, observed }: Context, name: string | undefined, isListed: boolean): number => {
  const wanted = name ?? (isListed ? containers[0]?.name : (observed.pod?.containerNames[0] ?? ''));
  return Math.max(
    0,
    containers.findIndex((container) => container.name === wanted),
  );
};

const inboundFor = (flow: InboundSpec, context: Context): InboundFlow => ({
  name: flow.name,
  container: containerIndex(context, flow.container, (context.spec.containers ?? []).length > 0),
  connections: flow.connections,
  closesPerSecond: flow.closesPerSecond,
  closedBy: flow.closedBy,
  path: flow.path.map((translator) => translatorFor(translator, context.note)),
  port: flow.port,
  opensPerSecond: flow.peakOpensPerSecond,
  acceptStallMilliseconds: flow.acceptStallMilliseconds,
  listenBacklog: flow.listen.backlog,
  listenSockets: flow.listen.sockets,
  clients: clientsFor(flow, context.observed, context.note),
});

type Targets = Pick<
  OutboundFlow,
  'families' | 'destinationAddresses' | 'destinationPorts' | 'targets' | 'farEndAddresses' | 'farEndKeys'
>;

const serviceTargets = (flow: OutboundSpec, { observed, note }: Context): Targets => {
  const service = flow.destination.service;
  const key = `${service?.namespace ?? observed.namespace}/${service?.name ?? ''}`;
  const seen = observed.services.get(key);
  const endpoints = seen?.readyEndpoints.get(service?.port ?? 0) ?? 0;
  const byClusterIp = service?.reachedBy === 'ClusterIP' && seen?.headless !== true;
  const needsEndpoints = !byClusterIp || flow.destination.maxConnectionsPerAddress !== undefined;
  if (!byClusterIp && service?.reachedBy === 'ClusterIP') note('ServiceHeadless', flow.name);
  if (needsEndpoints && endpoints === 0) note('EndpointsUnresolved', flow.name);
  const farEndAddresses = Math.max(1, endpoints);
  return {
    families: [],
    destinationAddresses: byClusterIp ? 1 : farEndAddresses,
    destinationPorts: 1,
    targets: [`${byClusterIp ? 'ClusterIP' : 'Endpoints'} ${key}:${service?.port ?? 0}`],
    farEndAddresses,
    farEndKeys: [key],
  };
};

const targetsFor = (flow: OutboundSpec, context: Context): Targets => {
  const { addresses, unlisted } = flow.destination;
  if (unlisted !== undefined) {
    const { addressCount, ports } = unlisted;
    const counts = { destinationAddresses: addressCount, destinationPorts: ports.length };
    return { ...counts, families: [], targets: [], farEndAddresses: addressCount, farEndKeys: [] };
  }
  if (addresses === undefined) return serviceTargets(flow, context);
  const { ips, ports } = addresses;
  const families = new Set(ips.map((ip) => (ip.includes(':') ? 'IPv6' : 'IPv4')));
  return {
    families: [...families],
    destinationAddresses: ips.length,
    destinationPorts: ports.length,
    targets: ips.flatMap((ip) => ports.map((port) => `${ip} ${port}`)),
    farEndAddresses: ips.length,
    farEndKeys: ips,
  };
};

const outboundFor = (flow: OutboundSpec, context: Context): OutboundFlow => {
  const outside = flow.destination.service === undefined;
  if (outside && flow.path.length === 0) context.note('NoTranslatorDeclared', flow.name);
  return {
    name: flow.name,
    container: containerIndex(context, flow.container, (context.spec.containers ?? []).length > 0),
    connections: flow.connections,
    closesPerSecond: flow.closesPerSecond,
    closedBy: flow.closedBy,
    path: flow.path.map((translator) => translatorFor(translator, context.note)),
    binding: flow.binding,
    portSelection: flow.portSelection,
    ...targetsFor(flow, context),
    largestSharePercent: flow.destination.largestSharePercent,
    maxConnectionsPerAddress: flow.destination.maxConnectionsPerAddress,
  };
};

const podFactsFor = (spec: ConnectionBudgetSpec, observed: Observed, note: Note): PodFacts => {
  const pod = observed.pod;
  if (pod?.hostNetwork === true) note('HostNetwork', '');
  if (pod?.portRange !== undefined) note('OwnPortRange', '', pod.portRange.high - pod.portRange.low + 1);
  const ports = new Set([...spec.inbound.map(({ port }) => port), ...(pod?.declaredPorts ?? [])]);
  return {
    hostNetwork: pod?.hostNetwork ?? false,
    declaredPorts: [...ports].toSorted((a, b) => a - b),
    portRange: pod?.portRange,
    kubeletReservesPorts: pod?.kubeletReservesPorts ?? true,
  };
};

const extraAddressesFor = (spec: ConnectionBudgetSpec, observed: Observed, note: Note): AddressDemand => {
  const { provider, maximum, spread, networkAttachmentName = '' } = spec.sourceAddresses;
  const isMultus = provider === 'Multus';
  const most = isMultus ? (observed.attachment?.most ?? maximum) : maximum;
  if (isMultus && observed.attachment === undefined) note('AttachmentUnresolved', networkAttachmentName);
  if (observed.attachment?.refusal !== undefined) note('AttachmentRefused', networkAttachmentName);
  return { maximumExtra: Math.min(maximum, most), spread, ownCounts: !isMultus };
};

const scaleFor = (spec: ConnectionBudgetSpec, observed: Observed, note: Note): Demand['scale'] => {
  const valueOf = (field: 'pods' | 'podsPerNode'): number => {
    const declared = spec.scale?.[field];
    if (declared === undefined) note('ScaleUndeclared', field, observed.scale?.[field] ?? 1);
    return declared ?? observed.scale?.[field] ?? 1;
  };
  return { pods: valueOf('pods'), podsPerNode: valueOf('podsPerNode'), surgePercent: spec.scale?.surgePercent ?? 0 };
};

/** What the budget's pod must hold, with everything resolved that was observed and an assumption for the rest. */
export const demandFor = (spec: ConnectionBudgetSpec, observed: Observed): Demand => {
  const assumptions: Assumption[] = [];
  const note: Note = (kind, subject, value = 0) => assumptions.push({ kind, subject, value });
  const scale = scaleFor(spec, observed, note);
  const containers = containersFor(spec, observed, note);
  const context: Context = { spec, observed, containers, note };
  return {
    scale,
    containers,
    inbound: spec.inbound.map((flow) => inboundFor(flow, context)),
    outbound: spec.outbound.map((flow) => outboundFor(flow, context)),
    queuedReceiveBytes: parseBytes(spec.queuedBytes.receive),
    queuedSendBytes: parseBytes(spec.queuedBytes.send),
    headroomPercent: spec.headroomPercent,
    extraAddresses: extraAddressesFor(spec, observed, note),
    pod: podFactsFor(spec, observed, note),
    assumptions,
  };
};
