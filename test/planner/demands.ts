import type { AddressDemand, ContainerDemand, Demand, InboundFlow, OutboundFlow } from '../../src/planner/demand.ts';

/** Small demands to vary in tests: one container, headroom 0, nothing on the path. */

export const container = (changes: Partial<ContainerDemand> = {}): ContainerDemand => ({
  name: 'app',
  processes: 1,
  reservedDescriptors: 64,
  descriptorsPerConnection: 1,
  softPlanned: true,
  memoryPerConnectionBytes: 0,
  ...changes,
});

export const inbound = (changes: Partial<InboundFlow> = {}): InboundFlow => ({
  name: 'in',
  container: 0,
  connections: 1000,
  closesPerSecond: 0,
  closedBy: 'Peer',
  path: [],
  port: 8080,
  opensPerSecond: 0,
  acceptStallMilliseconds: 1000,
  listenBacklog: 4096,
  listenSockets: 1,
  clients: undefined,
  ...changes,
});

export const outbound = (changes: Partial<OutboundFlow> = {}): OutboundFlow => ({
  name: 'out',
  container: 0,
  connections: 1000,
  closesPerSecond: 0,
  closedBy: 'Pod',
  path: [],
  binding: 'Late',
  portSelection: 'Program',
  destinationAddresses: 1,
  destinationPorts: 1,
  families: [],
  targets: [],
  largestSharePercent: undefined,
  maxConnectionsPerAddress: undefined,
  farEndAddresses: changes.destinationAddresses ?? 1,
  farEndKeys: [],
  ...changes,
});

export const demand = (changes: Partial<Demand> = {}): Demand => ({
  scale: { pods: 1, podsPerNode: 1, surgePercent: 0 },
  containers: [container()],
  inbound: [],
  outbound: [],
  queuedReceiveBytes: 0,
  queuedSendBytes: 0,
  headroomPercent: 0,
  extraAddresses: { maximumExtra: 0, spread: 'Transparent', ownCounts: true },
  pod: { hostNetwork: false, declaredPorts: [], portRange: undefined, kubeletReservesPorts: true },
  assumptions: [],
  ...changes,
});

/** So many extra addresses at most, spread by us. */
export const extra = (maximumExtra: number, changes: Partial<AddressDemand> = {}): Partial<Demand> => ({
  extraAddresses: { maximumExtra, spread: 'Transparent', ownCounts: true, ...changes },
});
