/** What a pod must hold, resolved: no Services, no selectors, no defaults left to fill in. Rates are per second. */

export interface PortRange {
  readonly low: number;
  readonly high: number;
}

/** Who shares nodes, gateways and destinations with one pod. */
export interface Scale {
  readonly pods: number;
  readonly podsPerNode: number;
  readonly surgePercent: number;
}

export interface ContainerDemand {
  /** "" where nobody named one: the pod's first container. */
  readonly name: string;
  readonly processes: number;
  readonly reservedDescriptors: number;
  readonly descriptorsPerConnection: number;
  /** false: the program raises its own soft limit, or must not see a high one because it uses select(). */
  readonly softPlanned: boolean;
  readonly memoryPerConnectionBytes: number;
  /** The container's memory limit; undefined where it has none or nobody knows it. */
  readonly memoryLimitBytes?: number | undefined;
}

export type TranslatorType = 'NAT' | 'LoadBalancer' | 'Sidecar';

export interface Translator {
  readonly type: TranslatorType;
  readonly name: string;
  readonly addresses: number;
  /** undefined: a load balancer that keeps the client's address, or a sidecar with the pod's own range. */
  readonly portsPerAddress: number | undefined;
  readonly sharedBy: 'Pod' | 'Node' | 'Cluster';
  readonly lingerSeconds: number;
  readonly idleTimeoutSeconds: number | undefined;
}

interface Flow {
  readonly name: string;
  /** Index into the demand's containers. */
  readonly container: number;
  readonly connections: number;
  readonly closesPerSecond: number;
  readonly closedBy: 'Pod' | 'Peer';
  readonly path: readonly Translator[];
}

export interface InboundFlow extends Flow {
  readonly port: number;
  readonly opensPerSecond: number;
  readonly acceptStallMilliseconds: number;
  /** What the program passes to listen(2). */
  readonly listenBacklog: number;
  readonly listenSockets: number;
  /** undefined: unbounded, an assumption. */
  readonly clients: { readonly addresses: number; readonly portsPerAddress: number } | undefined;
}

export type IpFamily = 'IPv4' | 'IPv6';

export interface OutboundFlow extends Flow {
  readonly binding: 'Late' | 'Early' | 'Explicit';
  readonly portSelection: 'Kernel' | 'Spread' | 'Program';
  readonly destinationAddresses: number;
  readonly destinationPorts: number;
  /** Of the targets, where it is known: each has tuples of its own. */
  readonly families: readonly IpFamily[];
  /** Keys of the targets (address:port or Service) where they are known: two flows with one key share its tuples. */
  readonly targets: readonly string[];
  readonly largestSharePercent: number | undefined;
  readonly maxConnectionsPerAddress: number | undefined;
  /** Addresses that take the connections in the end: behind a ClusterIP those of its endpoints. */
  readonly farEndAddresses: number;
  /** Keys of the far end where they are known: two flows with one key share what it takes. */
  readonly farEndKeys: readonly string[];
}

export interface PodFacts {
  readonly hostNetwork: boolean;
  /** Every port that a container of the pod declares or probes. */
  readonly declaredPorts: readonly number[];
  /** The range that the user set by hand; undefined: the default of a new namespace. */
  readonly portRange: PortRange | undefined;
  /** false where the namespace's Pod Security level is older than what admits ip_local_reserved_ports (1.27). */
  readonly kubeletReservesPorts: boolean;
}

/** Something that the demand rests on and nobody declared; `explain` words it. */
export interface Assumption {
  readonly kind: AssumptionKind;
  /** The flow, container or translator that it is about; "" for all. */
  readonly subject: string;
  readonly value: number;
}

export type AssumptionKind =
  | 'ScaleUndeclared'
  | 'ContainerUnnamed'
  | 'ClientsUnbounded'
  | 'ClientPortsDefault'
  | 'ClientsUnresolved'
  | 'EndpointsUnresolved'
  | 'ServiceHeadless'
  | 'TranslatorDefaults'
  | 'NoTranslatorDeclared'
  | 'EvenTranslatorAddresses'
  | 'NodeUnknown'
  | 'KernelPortCliff'
  | 'TimestampsBothEnds'
  | 'KeepaliveAsked'
  | 'SynCookies'
  | 'OwnSoftLimit'
  | 'EvenQueues'
  | 'HostNetwork'
  | 'OwnPortRange'
  | 'TimeWaitBuckets'
  | 'ExplicitPorts'
  | 'PortRangeOption'
  | 'SpreadByAgent'
  | 'AddressFill'
  | 'AddressesOfFamily'
  | 'AddressesBehindTranslator'
  | 'AddressesBehindSidecar'
  | 'AddressesNotBound'
  | 'AttachmentUnresolved'
  | 'AttachmentRefused';

export interface Demand {
  readonly scale: Scale;
  readonly containers: readonly ContainerDemand[];
  readonly inbound: readonly InboundFlow[];
  readonly outbound: readonly OutboundFlow[];
  readonly queuedReceiveBytes: number;
  readonly queuedSendBytes: number;
  readonly headroomPercent: number;
  readonly extraAddresses: AddressDemand;
  readonly pod: PodFacts;
  readonly assumptions: readonly Assumption[];
}

/** Extra source addresses that a pod may get: how many, and what makes them usable. */
export interface AddressDemand {
  /** 0 where no provider is asked for, or none can give any. Each is one address of every family of the pod. */
  readonly maximumExtra: number;
  /** Transparent: unbound sockets are bound at connect(). Application: the program binds to the addresses itself. */
  readonly spread: 'Transparent' | 'Application';
  /** Whether the pod's own address serves beside the extra ones: not where those are on another link. */
  readonly ownCounts: boolean;
}

/** What a node's kernel and runtime offer. A field that is absent is Unknown. Limits are counts, memory is in bytes. */
export interface NodeFacts {
  readonly kernelRelease?: string | undefined;
  readonly nrOpen?: number | undefined;
  readonly fileMax?: number | undefined;
  readonly conntrackMax?: number | undefined;
  readonly tcpMemMaximumPages?: number | undefined;
  readonly epollMaxUserWatches?: number | undefined;
  readonly maxTwBuckets?: number | undefined;
  readonly memoryBytes?: number | undefined;
  readonly runtimeNofile?: { readonly soft: number; readonly hard: number } | undefined;
  /** The highest hard nofile that the agent can give a container on this node. */
  readonly settableNofile?: number | undefined;
}
