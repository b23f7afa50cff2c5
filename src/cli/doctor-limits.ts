import type { LimitName, Scope, Unit } from '../planner/limit.ts';
import { portsIn } from '../planner/ports.ts';
import type { PortRange } from '../linux/sysctls.ts';
import type { TcpDestination, TcpListener, TcpSockets } from '../linux/tcp-sockets.ts';
import type { ProcessUse } from './doctor-processes.ts';

/**
 * One limit with what is used of it now. `left` is what still fits: connections for ports and descriptors. null: unknown.
 * Count: what is left of it is connections. Momentary: a queue or table that fills and drains. UpperBound: at most so much
 * is used, so at least so much is left.
 */
export interface UsedLimit {
  readonly limit: LimitName;
  readonly scope: Scope;
  /** "10.0.0.5:9092", "process 4711 (gateway)", or "" for the machine and the namespace. */
  readonly subject: string;
  readonly unit: Unit;
  readonly kind: 'Count' | 'Momentary' | 'UpperBound';
  readonly used: number | null;
  readonly capacity: number | null;
  readonly left: number | null;
}

type Row = Omit<UsedLimit, 'used' | 'capacity' | 'left'> & {
  readonly used: number | undefined;
  readonly capacity: number | undefined;
};

export const usedLimit = ({ used, capacity, ...row }: Row): UsedLimit => ({
  ...row,
  used: used ?? null,
  capacity: capacity ?? null,
  left: used === undefined || capacity === undefined ? null : Math.max(0, capacity - used),
});

/** What connect() without bind() can choose from, to each destination. */
export interface PortSupply {
  readonly range: PortRange;
  /** Of the range: reserved by sysctl, and taken by listeners and by sockets that are bound. */
  readonly reserved: number;
  readonly taken: number;
  readonly usable: number;
}

const isIn = (port: number, { low, high }: PortRange): boolean => port >= low && port <= high;

export const portSupplyFor = (
  range: PortRange,
  reservedRanges: readonly PortRange[],
  takenPorts: readonly number[],
): PortSupply => {
  const all = Array.from({ length: range.high - range.low + 1 }, (_, at) => range.low + at);
  const reserved = all.filter((port) => reservedRanges.some((entry) => isIn(port, entry)));
  const gone = new Set([...reserved, ...takenPorts.filter((port) => isIn(port, range))]);
  return {
    range,
    reserved: reserved.length,
    taken: gone.size - reserved.length,
    usable: portsIn(range, [...gone]),
  };
};

/** "10.0.0.5:9092", "[2001:db8::5]:9092". */
export const endpointText = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

const isLoopback = (address: string): boolean => address === '::1' || address.startsWith('127.');

/**
 * tcp_tw_reuse (ip-sysctl.rst): 1, and 2 for loopback alone, lets connect() take a port again a second after it went into
 * TIME_WAIT, as long as both ends send timestamps.
 */
const isReused = (address: string, reuse: string | undefined): boolean =>
  reuse === '1' || (reuse !== '0' && isLoopback(address));

export interface PortUse {
  readonly supply: PortSupply;
  readonly reuse: string | undefined;
  /** Destinations that several local addresses connect to: each has ports of its own, so it is named. */
  readonly reachedTwice: ReadonlySet<string>;
}

/** Ports of the range that a new connection to this destination cannot get. */
export const portsUsedTo = (
  { address, established, timeWait, other }: TcpDestination,
  reuse: string | undefined,
): number => established + other + (isReused(address, reuse) ? 0 : timeWait);

export const destinationLimit = (destination: TcpDestination, use: PortUse): UsedLimit => {
  const { localAddress, address, port } = destination;
  const endpoint = endpointText(address, port);
  return usedLimit({
    limit: 'net.ipv4.ip_local_port_range',
    scope: 'Pod',
    subject: use.reachedTwice.has(endpoint) ? `${endpoint} from ${localAddress}` : endpoint,
    unit: 'ports',
    kind: 'Count',
    used: portsUsedTo(destination, use.reuse),
    capacity: use.supply.usable,
  });
};

export const processText = ({ pid, command }: Pick<ProcessUse, 'pid' | 'command'>): string =>
  `process ${pid} (${command})`;

export const descriptorLimit = (process: ProcessUse): UsedLimit =>
  usedLimit({
    limit: 'RLIMIT_NOFILE',
    scope: 'Process',
    subject: processText(process),
    unit: 'descriptors',
    kind: process.exactness === 'UpperBound' ? 'UpperBound' : 'Count',
    used: process.descriptors,
    capacity: process.soft,
  });

/** The queue takes one more than the backlog (measured). */
export const queueLimit = ({ address, port, backlog, waiting }: TcpListener): UsedLimit =>
  usedLimit({
    limit: 'AcceptQueue',
    scope: 'Pod',
    subject: endpointText(address, port),
    unit: 'connections',
    kind: 'Momentary',
    used: waiting,
    capacity: backlog + 1,
  });

/** Runs of ports that the kernel picked for one destination each, on a circle of half the range. */
const certainOverlaps = 10;

/**
 * Whether the ports were bound before connect(): then all destinations share the range. The kernel's own choice starts at
 * a random port of one parity for each destination and goes on from there, so of k destinations with N ports in all about
 * (k − 1) × N ÷ (half of the range) pairs have a port in common. None where ten are expected is no chance (e^−10).
 */
export const areBoundEarly = (sockets: TcpSockets, usable: number): boolean => {
  const { destinationCount, ephemeralConnections, distinctPorts } = sockets;
  const overlaps = ((destinationCount - 1) * ephemeralConnections) / (usable / 2);
  return ephemeralConnections === distinctPorts && overlaps >= certainOverlaps;
};

export const sharedRangeLimit = ({ distinctPorts }: TcpSockets, supply: PortSupply): UsedLimit =>
  usedLimit({
    limit: 'net.ipv4.ip_local_port_range',
    scope: 'Pod',
    subject: 'all destinations',
    unit: 'ports',
    kind: 'Count',
    used: distinctPorts,
    capacity: supply.usable,
  });
