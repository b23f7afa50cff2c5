import { isIP } from 'node:net';

import type { PortRange } from '../../planner/demand.ts';
import { LinuxError } from '../linux-error.ts';

/** What the program in the kernel knows of a pod. */
export interface SpreadPod {
  /** The pod's addresses that connections start from, in the order of their turns; at most 33 of each family. */
  readonly addresses: readonly string[];
  /** net.ipv4.ip_local_port_range of the pod. */
  readonly range: PortRange;
  /** net.ipv4.ip_local_reserved_ports of the pod. */
  readonly reservedPorts: readonly number[];
  /** Tuples: address and port. Addresses: the address alone, the kernel picks the port. */
  readonly chooses: 'Tuples' | 'Addresses';
  readonly timeWaitReuse: TimeWaitReuse;
  /** How many ports the kernel keeps for its own choice; default: keptPortsFor. */
  readonly keptPorts?: number;
}

/** net.ipv4.tcp_tw_reuse 0, 2 and 1, and for how long TIME_WAIT is respected at least (tcp_tw_reuse_delay, from 6.14). */
export interface TimeWaitReuse {
  readonly of: 'Nothing' | 'Loopback' | 'All';
  readonly delayMs: number;
}

export interface Statistics {
  /** Connections that got a tuple of the walk. */
  readonly picked: number;
  /** Connections that the kernel chose the port for, because the pod's plan or a full walk says so. */
  readonly fellBack: number;
  /** Tuples that were looked at. */
  readonly tries: number;
}

/** Changes with every change of a map: pins of another version are never reused. */
export const layoutVersion = 1;

const mostAddresses = 33;
const flagBits = { choosesPorts: 1, hasReservedPorts: 2 } as const;
const largestPort = 65_535;

// struct pod of spread.bpf.c: offsets in bytes.
const podLayout = {
  bytes: 1084,
  flags: 0,
  low: 4,
  ports: 8,
  reuse: 12,
  loopbackReuse: 16,
  ipv4: 20,
  ipv6: 552,
} as const;
const addressBytes = 16;
const statisticsBytes = 24;

const smallestKept = 64;
const largestKept = 512;

/**
 * A sixty-fourth of the ports, at least 64 and at most 512, and never more than half: 28,232 → 441. Sockets that our walk
 * leaves alone (bound to an address, link-local) get their ports there, for a port of the walk is lost to the kernel.
 */
export function keptPortsFor(ports: number): number {
  const kept = Math.max(smallestKept, Math.min(largestKept, Math.floor(ports / 64)));
  return Math.min(kept, Math.floor(ports / 2));
}

/** The ports that the walk uses: the lower part of the range. `ports` counts reserved ones, which it passes over. */
export function walkFor(pod: SpreadPod): { readonly low: number; readonly ports: number } {
  const { low, high } = pod.range;
  const reserved = new Set(pod.reservedPorts);
  const usable = Array.from({ length: high - low + 1 }, (_, at) => low + at).filter((port) => !reserved.has(port));
  const kept = Math.min(pod.keptPorts ?? keptPortsFor(usable.length), usable.length);
  const last = usable[usable.length - kept - 1];
  return { low, ports: last === undefined ? 0 : last - low + 1 };
}

/** Throws LinuxError InvalidInput that names field, value and rule. */
export function podEntry(pod: SpreadPod): Buffer {
  checkPod(pod);
  const { low, ports } = walkFor(pod);
  const { timeWaitReuse, chooses, reservedPorts } = pod;
  const entry = Buffer.alloc(podLayout.bytes);
  const choosesPorts = chooses === 'Tuples' ? flagBits.choosesPorts : 0;
  const hasReservedPorts = reservedPorts.length > 0 ? flagBits.hasReservedPorts : 0;
  entry.writeUInt32LE(choosesPorts | hasReservedPorts, podLayout.flags);
  entry.writeUInt32LE(low, podLayout.low);
  entry.writeUInt32LE(ports, podLayout.ports);
  entry.writeUInt32LE(timeWaitReuse.of === 'All' ? timeWaitReuse.delayMs : 0, podLayout.reuse);
  entry.writeUInt32LE(timeWaitReuse.of === 'Nothing' ? 0 : timeWaitReuse.delayMs, podLayout.loopbackReuse);
  writeSources(entry, podLayout.ipv4, addressesOf(pod, 4));
  writeSources(entry, podLayout.ipv6, addressesOf(pod, 6));
  return entry;
}

/** A bit for each of the 65,536 ports. */
export function portSet(ports: readonly number[]): Buffer {
  const bits = Buffer.alloc((largestPort + 1) / 8);
  for (const port of ports) bits[port >> 3] = (bits[port >> 3] ?? 0) | (1 << (port & 7));
  return bits;
}

export function emptyStatistics(cpus: number): Buffer {
  return Buffer.alloc(cpus * statisticsBytes);
}

/** Each CPU has counted for itself. */
export function statisticsFrom(values: Buffer): Statistics {
  const sum = (offset: number): number => {
    let total = 0n;
    for (let at = offset; at < values.length; at += statisticsBytes) total += values.readBigUInt64LE(at);
    return Number(total);
  };
  return { picked: sum(0), fellBack: sum(8), tries: sum(16) };
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= largestPort;
}

function checkPod({ addresses, range, reservedPorts, timeWaitReuse }: SpreadPod): void {
  const strange = addresses.find((address) => isIP(address) === 0 || address.includes('%'));
  if (strange !== undefined) throw invalid('addresses', strange, 'must be an IP address without a zone');
  for (const family of [4, 6]) {
    const count = addresses.filter((address) => isIP(address) === family).length;
    if (count > mostAddresses) throw invalid('addresses', `${count} of IPv${family}`, `at most ${mostAddresses}`);
  }
  if (!isPort(range.low) || !isPort(range.high) || range.low > range.high)
    throw invalid('range', `${range.low} ${range.high}`, 'must be two ports, the lower one first');
  const noPort = reservedPorts.find((port) => !isPort(port));
  if (noPort !== undefined) throw invalid('reservedPorts', String(noPort), 'must be ports');
  if (!Number.isInteger(timeWaitReuse.delayMs) || timeWaitReuse.delayMs < 1 || timeWaitReuse.delayMs > 60_000)
    throw invalid('timeWaitReuse.delayMs', String(timeWaitReuse.delayMs), 'must be 1 to 60000');
}

function invalid(field: string, value: string, rule: string): LinuxError {
  return new LinuxError({ kind: 'InvalidInput', syscall: 'bpf', message: `${field} ${value}: ${rule}` });
}

function addressesOf({ addresses }: SpreadPod, family: 4 | 6): readonly Buffer[] {
  return addresses.filter((address) => isIP(address) === family).map(addressFor);
}

function writeSources(entry: Buffer, offset: number, addresses: readonly Buffer[]): void {
  entry.writeUInt32LE(addresses.length, offset);
  for (const [at, address] of addresses.entries()) address.copy(entry, offset + 4 + at * addressBytes);
}

/** 16 bytes in network order, IPv4 as ::ffff:a.b.c.d. */
function addressFor(text: string): Buffer {
  const groups = isIP(text) === 4 ? groupsOf(`::ffff:${text}`) : groupsOf(text);
  const address = Buffer.alloc(addressBytes);
  for (const [at, group] of groups.entries()) address.writeUInt16BE(group, at * 2);
  return address;
}

/** The eight groups of an IPv6 address that is known to be one. */
function groupsOf(text: string): readonly number[] {
  const hex = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: readonly string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number);
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
  const [front = [], back = []] = hex.split('::').map((side) => side.split(':').filter(Boolean));
  const zeros = Array.from({ length: 8 - front.length - back.length }, () => '0');
  return [...front, ...zeros, ...back].map((group) => Number.parseInt(group, 16));
}
