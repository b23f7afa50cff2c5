import { parsePortList } from '../linux/sysctls.ts';
import type { TcpDestination } from '../linux/tcp-sockets.ts';
import { defaultPortRange } from '../planner/kernel.ts';
import {
  areBoundEarly,
  descriptorLimit,
  destinationLimit,
  endpointText,
  portSupplyFor,
  type PortSupply,
  type PortUse,
  queueLimit,
  sharedRangeLimit,
  type UsedLimit,
} from './doctor-limits.ts';
import { type DoctorNote, notesFor } from './doctor-notes.ts';
import type { Observation } from './doctor-observe.ts';
import { tableLimits } from './doctor-tables.ts';
import { shareOf } from './doctor-wording.ts';

/** What was observed, held against every limit. */
export interface Diagnosis {
  readonly observation: Observation;
  readonly supply: PortSupply;
  readonly ports: PortUse;
  /** What is nearest to its end first. */
  readonly limits: readonly UsedLimit[];
  readonly bindsFirst: UsedLimit | null;
  readonly notes: readonly DoctorNote[];
}

const isHalfFull = (limit: UsedLimit): boolean => shareOf(limit) >= 0.5;

/**
 * Of what holds connections and is at least half full, the one with the fewest left; where nothing is, the fullest. A
 * process that never holds a connection has fewer descriptors left than a busy destination has ports: it does not bind.
 */
export const bindingAmong = (limits: readonly UsedLimit[]): UsedLimit | null => {
  const counted = limits.filter(({ kind, left, used }) => kind === 'Count' && left !== null && used !== 0);
  const [fewest] = counted.filter(isHalfFull).toSorted((a, b) => (a.left ?? 0) - (b.left ?? 0));
  const [fullest] = counted.toSorted((a, b) => shareOf(b) - shareOf(a));
  return fewest ?? fullest ?? null;
};

const supplyFor = ({ settings, sockets }: Observation): PortSupply => {
  const [low = defaultPortRange.low, high = defaultPortRange.high] =
    settings.get('net.ipv4.ip_local_port_range')?.split(' ').map(Number) ?? [];
  const reserved = parsePortList(settings.get('net.ipv4.ip_local_reserved_ports') ?? '');
  return portSupplyFor({ low, high }, reserved, sockets.takenPorts);
};

const limitsFor = (observation: Observation, ports: PortUse): readonly UsedLimit[] => {
  const { sockets, processes } = observation;
  const { supply } = ports;
  const limits = [
    ...sockets.destinations.map((destination) => destinationLimit(destination, ports)),
    ...(areBoundEarly(sockets, supply.usable) ? [sharedRangeLimit(sockets, supply)] : []),
    ...processes.map(descriptorLimit),
    ...sockets.listeners.map(queueLimit),
    ...tableLimits(observation),
  ];
  return limits.toSorted((a, b) => shareOf(b) - shareOf(a));
};

const reachedTwice = (destinations: readonly TcpDestination[]): ReadonlySet<string> => {
  const seen = new Set<string>();
  const endpoints = destinations.map(({ address, port }) => endpointText(address, port));
  return new Set(endpoints.filter((endpoint) => seen.size === seen.add(endpoint).size));
};

/** Pure: from what was read to what it means. */
export const diagnose = (observation: Observation): Diagnosis => {
  const { settings, sockets } = observation;
  const supply = supplyFor(observation);
  const ports = {
    supply,
    reuse: settings.get('net.ipv4.tcp_tw_reuse'),
    reachedTwice: reachedTwice(sockets.destinations),
  };
  const limits = limitsFor(observation, ports);
  return {
    observation,
    supply,
    ports,
    limits,
    bindsFirst: bindingAmong(limits),
    notes: notesFor(observation, { ports, limits }),
  };
};
