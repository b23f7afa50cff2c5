import type { Observation } from '../../src/cli/doctor-observe.ts';
import type { ProcessUse } from '../../src/cli/doctor-processes.ts';
import type { TcpDestination, TcpListener, TcpSockets } from '../../src/linux/tcp-sockets.ts';

/** Small observations to vary in tests: a namespace of default settings in which nothing happens. */

const noSockets: TcpSockets['states'] = {
  established: 0,
  synSent: 0,
  synReceived: 0,
  finWait1: 0,
  finWait2: 0,
  timeWait: 0,
  bound: 0,
  closeWait: 0,
  lastAck: 0,
  listen: 0,
  closing: 0,
};

export const sockets = (changes: Partial<TcpSockets> = {}): TcpSockets => ({
  states: noSockets,
  receiveQueueBytes: 0,
  sendQueueBytes: 0,
  listeners: [],
  takenPorts: [],
  destinations: [],
  destinationCount: changes.destinations?.length ?? 0,
  ephemeralConnections: 0,
  distinctPorts: 0,
  wasInterrupted: false,
  ...changes,
});

export const states = (changes: Partial<TcpSockets['states']>): TcpSockets['states'] => ({ ...noSockets, ...changes });

export const destination = (changes: Partial<TcpDestination> = {}): TcpDestination => ({
  localAddress: '10.0.0.2',
  address: '10.0.0.5',
  port: 9092,
  established: 0,
  timeWait: 0,
  other: 0,
  outside: 0,
  ...changes,
});

export const listener = (changes: Partial<TcpListener> = {}): TcpListener => ({
  address: '0.0.0.0',
  port: 8080,
  sockets: 1,
  backlog: 4096,
  waiting: 0,
  connections: 0,
  ...changes,
});

export const gateway = (changes: Partial<ProcessUse> = {}): ProcessUse => ({
  pid: 4711,
  command: 'gateway',
  descriptors: 100,
  exactness: 'Exact',
  soft: 524_288,
  hard: 524_288,
  ...changes,
});

const settings = {
  'net.ipv4.ip_local_port_range': '32768 60999',
  'net.core.somaxconn': '4096',
  'net.ipv4.tcp_max_tw_buckets': '131072',
  'net.ipv4.tcp_tw_reuse': '2',
} as const;

export const observation = (changes: Partial<Observation> = {}): Observation => ({
  target: {
    kind: 'Process',
    pid: 4711,
    command: 'gateway',
    netnsPath: '/proc/4711/ns/net',
    netnsInode: 1,
    isOwnNamespace: false,
  },
  settings: new Map(Object.entries(settings) as [keyof typeof settings, string][]),
  totals: {},
  totalsAfter: {},
  watchedSeconds: 1,
  sockets: sockets(),
  processes: [],
  unreadableProcesses: 0,
  node: { canRaiseNofile: true },
  seconds: 0.1,
  ...changes,
});

export const withSettings = (changes: Readonly<Record<string, string>>): Observation['settings'] =>
  new Map(Object.entries({ ...settings, ...changes }) as [keyof typeof settings, string][]);
