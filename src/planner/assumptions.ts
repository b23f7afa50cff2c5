import type { Assumption, AssumptionKind } from './demand.ts';
import { numberText } from './explain.ts';
import { assumedHandshakeSeconds, defaultNofile, defaultNrOpen, defaultSomaxconn } from './kernel.ts';

type Sentence = (subject: string, value: number) => string;

const sentences: Readonly<Record<AssumptionKind, Sentence>> = {
  ScaleUndeclared: (field, value) =>
    `scale.${field} is not declared: ${numberText(value)}, which is what is observed, and 1 without a cluster`,
  ContainerUnnamed: () => 'no container is named: the first container of the pod, one process, 64 reserved descriptors',
  ClientsUnbounded: (flow) =>
    `flow ${flow}: clients are not declared, so their addresses and ports are taken as unbounded`,
  ClientPortsDefault: (flow, ports) =>
    `flow ${flow}: portsPerAddress of the clients is not declared: ${numberText(ports)}, the default of a Linux client`,
  ClientsUnresolved: (flow) => `flow ${flow}: the client pods are not resolved here, so they are taken as unbounded`,
  EndpointsUnresolved: (flow) => `flow ${flow}: no ready endpoint is known here, so one target is assumed`,
  ServiceHeadless: (flow) => `flow ${flow}: the Service has no ClusterIP, so its endpoints are reached directly`,
  TranslatorDefaults: (name, seconds) =>
    `translator ${name}: what is not declared is taken as sharedBy ${seconds > 0 ? 'Cluster' : 'Pod'} and lingerSeconds ${seconds}`,
  NoTranslatorDeclared: (flow) =>
    `flow ${flow}: no translator is declared on the way; if its node masquerades, all pods of the node share 64,512 ports per destination; a cloud's own connection tracking is Unknown`,
  EvenTranslatorAddresses: (name, addresses) =>
    `translator ${name}: its ${numberText(addresses)} addresses are taken as used evenly; one that chooses by a hash, as "snat to" a range in Linux does, has one of them for a pod and a destination`,
  NodeUnknown: () =>
    `no node is known: fs.nr_open ${numberText(defaultNrOpen)}, net.core.somaxconn ${numberText(defaultSomaxconn)} and RLIMIT_NOFILE ${numberText(defaultNofile.soft)} soft, ${numberText(defaultNofile.hard)} hard are assumed; all other node limits are Unknown`,
  KernelPortCliff: (flow, fast) =>
    `${flow === '' ? 'flows to one target' : `flow ${flow}`}: past ${numberText(fast)} ports of a source address finding the next one becomes slow; more targets avoid it`,
  TimestampsBothEnds: (_, seconds) =>
    `TIME_WAIT is reused after ${numberText(seconds)} s (tcp_tw_reuse 1), which needs TCP timestamps at the far ends too`,
  KeepaliveAsked: (flow, seconds) =>
    `flow ${flow}: idle connections are forgotten after ${numberText(seconds)} s; tcp_keepalive_time is set below it, and the program must ask for keepalive (SO_KEEPALIVE)`,
  SynCookies: (flow, halfOpen) =>
    `flow ${flow}: with handshakes of ${assumedHandshakeSeconds} s ${numberText(halfOpen)} connections are half open at the peak, more than the SYN queue holds; SYN cookies, on by default, answer the rest`,
  OwnSoftLimit: (container) =>
    `container ${container}: the soft limit is left as it is; a program that needs more raises it itself`,
  EvenQueues: (flow, sockets) =>
    `flow ${flow}: the kernel spreads new connections evenly over ${numberText(sockets)} listening sockets`,
  HostNetwork: () => 'the pod uses the network of its node: limits are planned, sysctls and addresses are not',
  TimeWaitBuckets: (_, entries) =>
    `net.ipv4.tcp_max_tw_buckets is taken as ${numberText(entries)}, what a node of 4 GiB has`,
  ExplicitPorts: (flow) =>
    `flow ${flow}: ports that the program binds itself are taken from the other flows where they lie in their range`,
  PortRangeOption: (flow) =>
    `flow ${flow}: the program uses IP_LOCAL_PORT_RANGE on kernel 6.8 or newer; before, only half of the range is fast`,
  SpreadByAgent: () =>
    'the agent binds unbound sockets at connect() (eBPF); on a node that cannot, the kernel picks: half of the ports of an address are fast, and extra addresses are for programs that bind to them',
  AddressFill: (flow, percent) =>
    `${flow === '' ? 'flows to one target' : `flow ${flow}`}: addresses are planned so that each fills at most ${percent} % of its ports to a target${percent > 50 ? '' : ', for the kernel picks the port; portSelection Spread needs half as many'}`,
  AddressesOfFamily: (family, extra) =>
    `${family} targets need ${numberText(extra)} extra ${family} ${extra === 1 ? 'address' : 'addresses'}: each family has ports of its own, and a dual-stack network hands out one of each at a time`,
  AddressesBehindTranslator: (flow, connections) =>
    `flow ${flow}: extra source addresses lift nothing past a translator, which lets ${numberText(connections)} connections through whatever the pod has`,
  AddressesBehindSidecar: (flow) =>
    `flow ${flow}: extra source addresses are not planned where a sidecar opens the connections: nobody binds it to them`,
  AddressesNotBound: (flow) =>
    `flow ${flow}: the program binds its sockets itself, which a Transparent spread leaves alone; with spread Application it may bind to the extra addresses`,
  AttachmentUnresolved: (name) =>
    `NetworkAttachmentDefinition ${name} is not known here: it is taken as one that hands out as many addresses as are planned`,
  AttachmentRefused: (name) =>
    `NetworkAttachmentDefinition ${name} gives this pod no extra addresses: it is planned without`,
  OwnPortRange: (_, ports) => `the pod sets ip_local_port_range itself (${numberText(ports)} ports): it is kept`,
};

export const assumptionText = ({ kind, subject, value }: Assumption): string => sentences[kind](subject, value);
