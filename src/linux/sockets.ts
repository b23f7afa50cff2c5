import { readFileSync } from 'node:fs';

import { linuxErrorFrom } from './linux-error.ts';
import { DEFAULT_PROC_ROOT } from './proc.ts';

/** The texts of /proc/net: sockstat and sockstat6 (net/ipv4/proc.c, net/ipv6/proc.c), snmp, netstat. */
export interface SocketFiles {
  readonly sockstat: string;
  /** Absent without IPv6. */
  readonly sockstat6?: string;
  readonly snmp: string;
  /** Absent where nobody asks what was lost: it is half of the time. */
  readonly netstat?: string;
}

/** Totals of one network namespace, and of the machine where the name says so. A field is absent when Linux has none. */
export interface SocketTotals {
  readonly tcpInUse?: number;
  readonly tcp6InUse?: number;
  readonly tcpEstablished?: number;
  readonly tcpTimeWait?: number;
  readonly machineTcpAllocated?: number;
  readonly machineTcpOrphans?: number;
  readonly machineTcpMemoryPages?: number;
  /** Counters since the namespace was made. */
  readonly activeOpens?: number;
  readonly passiveOpens?: number;
  /** Connections lost to a full accept queue, retries counted again; drops include them. */
  readonly listenOverflows?: number;
  readonly listenDrops?: number;
  /** TIME_WAIT skipped, for net.ipv4.tcp_max_tw_buckets was reached. */
  readonly timeWaitOverflows?: number;
}

/** Numbers by protocol and field: "TCP.inuse" or "TcpExt.ListenDrops". */
export type ProtocolNumbers = ReadonlyMap<string, number>;

const SOURCES = {
  tcpInUse: ['sockstat', 'TCP.inuse'],
  tcp6InUse: ['sockstat6', 'TCP6.inuse'],
  tcpEstablished: ['snmp', 'Tcp.CurrEstab'],
  tcpTimeWait: ['sockstat', 'TCP.tw'],
  machineTcpAllocated: ['sockstat', 'TCP.alloc'],
  machineTcpOrphans: ['sockstat', 'TCP.orphan'],
  machineTcpMemoryPages: ['sockstat', 'TCP.mem'],
  activeOpens: ['snmp', 'Tcp.ActiveOpens'],
  passiveOpens: ['snmp', 'Tcp.PassiveOpens'],
  listenOverflows: ['netstat', 'TcpExt.ListenOverflows'],
  listenDrops: ['netstat', 'TcpExt.ListenDrops'],
  timeWaitOverflows: ['netstat', 'TcpExt.TCPTimeWaitOverflow'],
} as const satisfies Readonly<Record<keyof SocketTotals, readonly [keyof SocketFiles, string]>>;

/** One line a protocol, names and numbers in turn: "TCP: inuse 1 orphan 0 tw 1 alloc 1 mem 254". */
export function parseSockstat(text: string): ProtocolNumbers {
  const numbers = new Map<string, number>();
  for (const [, protocol = '', fields = ''] of text.matchAll(/^(\w+): (.*)$/gm)) {
    for (const [, name = '', value] of fields.matchAll(/(\w+) (\d+)(?!\S)/g))
      numbers.set(`${protocol}.${name}`, Number(value));
  }
  return numbers;
}

/**
 * Two lines a protocol, of names, then of numbers: snmp and netstat. A pair that does not match is left out, and so is another
 * protocol than `protocol`, where that is given.
 */
export function parseNetstat(text: string, protocol?: string): ProtocolNumbers {
  const wanted = text.split('\n').filter((line) => protocol === undefined || line.startsWith(`${protocol}:`));
  const lines = wanted.map((line) => line.trim().split(/ +/));
  const pairs = lines.flatMap((names, index) => pairsOf(names, lines[index + 1] ?? []));
  return new Map(pairs);
}

export function socketTotalsFor(files: SocketFiles): SocketTotals {
  const numbers = {
    sockstat: parseSockstat(files.sockstat),
    sockstat6: parseSockstat(files.sockstat6 ?? ''),
    snmp: parseNetstat(files.snmp, 'Tcp'),
    netstat: parseNetstat(files.netstat ?? '', 'TcpExt'),
  };
  const found = Object.entries(SOURCES).map(([field, [file, name]]) => [field, numbers[file].get(name)] as const);
  return Object.fromEntries(found.filter(([, value]) => value !== undefined));
}

/** Of the calling thread's network namespace. Throws LinuxError. */
export function readSocketFiles(procRoot: string = DEFAULT_PROC_ROOT, { lost = true } = {}): SocketFiles {
  const read = (name: string): string => readFileSync(`${procRoot}/thread-self/net/${name}`, 'utf8');
  try {
    const sockstat6 = readSockstat6(read);
    return {
      sockstat: read('sockstat'),
      snmp: read('snmp'),
      ...(sockstat6 === undefined ? {} : { sockstat6 }),
      ...(lost ? { netstat: read('netstat') } : {}),
    };
  } catch (error) {
    throw linuxErrorFrom(error, { syscall: 'read', attempt: 'read the socket totals' });
  }
}

function readSockstat6(read: (name: string) => string): string | undefined {
  try {
    return read('sockstat6');
  } catch (error) {
    const failure = linuxErrorFrom(error, { syscall: 'read', attempt: 'read sockstat6' });
    if (failure.kind === 'NotFound') return undefined;
    throw failure;
  }
}

function pairsOf(names: readonly string[], values: readonly string[]): readonly (readonly [string, number])[] {
  const [protocol = '', ...fields] = names;
  const [sameProtocol, ...numbers] = values;
  const isPair = protocol.endsWith(':') && protocol === sameProtocol && fields.length === numbers.length;
  if (!isPair || !numbers.every((number) => /^-?\d+$/.test(number))) return [];
  return fields.map((field, index) => [`${protocol.slice(0, -1)}.${field}`, Number(numbers[index])] as const);
}
