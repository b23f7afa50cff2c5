import {
  addressText,
  localAddressAt,
  localPortAt,
  receiveQueueAt,
  sendQueueAt,
  stateAt,
  writeTupleKey,
} from './inet-diag-message.ts';
import type { PortRange } from './sysctls.ts';
import { TcpTuples } from './tcp-tuples.ts';

/** include/net/tcp_states.h; Bound: bound and neither listening nor connected, which kernels before 6.8 do not tell. */
const STATE_NAMES = {
  1: 'established',
  2: 'synSent',
  3: 'synReceived',
  4: 'finWait1',
  5: 'finWait2',
  6: 'timeWait',
  7: 'bound',
  8: 'closeWait',
  9: 'lastAck',
  10: 'listen',
  11: 'closing',
  12: 'synReceived',
} as const;

export type TcpState = (typeof STATE_NAMES)[keyof typeof STATE_NAMES];

const [ESTABLISHED, TIME_WAIT, BOUND, LISTEN] = [1, 6, 7, 10];
const STATES = 16;
const PORTS = 65_536;

/** All sockets that listen at one address and port; several with SO_REUSEPORT, each with a queue of its own. */
export interface TcpListener {
  /** "0.0.0.0", "::" or an address of the namespace. */
  readonly address: string;
  readonly port: number;
  readonly sockets: number;
  /** min(listen backlog, somaxconn at that time), the smallest of these sockets; the queue takes one more. */
  readonly backlog: number;
  /** Connections that wait to be accepted, in the fullest queue. */
  readonly waiting: number;
  /** Established ones with this local port, whatever their address; those that wait are among them. */
  readonly connections: number;
}

/** Connections from one local address to one remote address and port, but for those that a listener took. */
export interface TcpDestination {
  readonly localAddress: string;
  readonly address: string;
  readonly port: number;
  /** With a local port of the ephemeral range, each another one. */
  readonly established: number;
  readonly timeWait: number;
  readonly other: number;
  /** With a local port outside it. */
  readonly outside: number;
}

export interface TcpSockets {
  readonly states: Readonly<Record<TcpState, number>>;
  /** Bytes in the socket buffers of all connections. */
  readonly receiveQueueBytes: number;
  readonly sendQueueBytes: number;
  /** By the number of connections, then of waiting ones. */
  readonly listeners: readonly TcpListener[];
  /** Local ports of listeners and of bound sockets: connect() without bind() gets none of them. Ascending. */
  readonly takenPorts: readonly number[];
  /** Those that use most ports of the range first; as many as were asked for. */
  readonly destinations: readonly TcpDestination[];
  readonly destinationCount: number;
  /** Connections to all destinations that have a local port of the range, and how many different ones. */
  readonly ephemeralConnections: number;
  readonly distinctPorts: number;
  /** The kernel said that the sockets changed while it told them, so that some may be missing or counted twice. */
  readonly wasInterrupted: boolean;
}

interface ListenerTally {
  readonly address: string;
  readonly port: number;
  sockets: number;
  backlog: number;
  waiting: number;
}

/**
 * Counts sockets as the kernel tells them, and makes no object for any but a new listener. The kernel tells listeners first
 * (inet_diag_dump_icsk, net/ipv4/inet_diag.c), so a connection whose local port listens is one that was accepted.
 */
export class TcpTally {
  wasInterrupted = false;
  readonly #range: PortRange;
  readonly #states = new Float64Array(STATES);
  readonly #listeners = new Map<string, ListenerTally>();
  readonly #isTaken = new Uint8Array(PORTS);
  readonly #isListening = new Uint8Array(PORTS);
  readonly #isUsed = new Uint8Array(PORTS);
  readonly #accepted = new Uint32Array(PORTS);
  readonly #tuples = new TcpTuples();
  #ephemeralConnections = 0;
  #receiveQueueBytes = 0;
  #sendQueueBytes = 0;

  constructor(range: PortRange) {
    this.#range = range;
  }

  /** One struct inet_diag_msg, whole, at `start`. */
  add(view: DataView, start: number): void {
    const state = stateAt(view, start) & (STATES - 1);
    const port = localPortAt(view, start);
    this.#states[state] = (this.#states[state] ?? 0) + 1;
    if (state === LISTEN) this.#addListener(view, start, port);
    else if (state === BOUND) this.#isTaken[port] = 1;
    else this.#addConnection(view, start, { state, port });
  }

  result(mostDestinations: number): TcpSockets {
    return {
      states: this.#stateCounts(),
      receiveQueueBytes: this.#receiveQueueBytes,
      sendQueueBytes: this.#sendQueueBytes,
      listeners: [...this.#listeners.values()]
        .map((listener) => ({ ...listener, connections: this.#accepted[listener.port] ?? 0 }))
        .toSorted((a, b) => b.connections - a.connections || b.waiting - a.waiting || a.port - b.port),
      takenPorts: indicesOf(this.#isTaken),
      destinations: this.#busiestRows(mostDestinations).map((row) => this.#destinationAt(row)),
      destinationCount: this.#tuples.size,
      ephemeralConnections: this.#ephemeralConnections,
      distinctPorts: indicesOf(this.#isUsed).length,
      wasInterrupted: this.wasInterrupted,
    };
  }

  #addListener(view: DataView, start: number, port: number): void {
    const address = addressText(localAddressAt(view, start));
    const key = `${address} ${port}`;
    const listener = this.#listeners.get(key) ?? { address, port, sockets: 0, backlog: Infinity, waiting: 0 };
    listener.sockets += 1;
    listener.waiting = Math.max(listener.waiting, receiveQueueAt(view, start));
    listener.backlog = Math.min(listener.backlog, sendQueueAt(view, start));
    this.#listeners.set(key, listener);
    this.#isTaken[port] = 1;
    this.#isListening[port] = 1;
  }

  #addConnection(view: DataView, start: number, { state, port }: { readonly state: number; readonly port: number }) {
    this.#receiveQueueBytes += receiveQueueAt(view, start);
    this.#sendQueueBytes += sendQueueAt(view, start);
    if (this.#isListening[port] === 1) {
      if (state === ESTABLISHED) this.#accepted[port] = (this.#accepted[port] ?? 0) + 1;
      return;
    }
    writeTupleKey(this.#tuples.key, view, start);
    if (port < this.#range.low || port > this.#range.high) {
      this.#tuples.count('outside');
      return;
    }
    this.#isUsed[port] = 1;
    this.#ephemeralConnections += 1;
    this.#tuples.count(state === ESTABLISHED ? 'established' : state === TIME_WAIT ? 'timeWait' : 'other');
  }

  #stateCounts(): TcpSockets['states'] {
    const counts: Partial<Record<TcpState, number>> = {};
    for (const [state, name] of Object.entries(STATE_NAMES))
      counts[name] = (counts[name] ?? 0) + (this.#states[Number(state)] ?? 0);
    return counts as TcpSockets['states'];
  }

  /** Rows of the table, most ports of the range first. */
  #busiestRows(most: number): readonly number[] {
    const used = new Float64Array(this.#tuples.size);
    for (let row = 0; row < used.length; row += 1) used[row] = this.#usedOf(row);
    const smallest = most < used.length ? (used.toSorted()[used.length - Math.max(1, most)] ?? 0) : 0;
    const rows: number[] = [];
    for (let row = 0; row < used.length; row += 1) if ((used[row] ?? 0) >= smallest) rows.push(row);
    return rows.toSorted((a, b) => (used[b] ?? 0) - (used[a] ?? 0)).slice(0, most);
  }

  #usedOf(row: number): number {
    const tuples = this.#tuples;
    return tuples.countOf(row, 'established') + tuples.countOf(row, 'timeWait') + tuples.countOf(row, 'other');
  }

  #destinationAt(row: number): TcpDestination {
    const tuples = this.#tuples;
    return {
      localAddress: addressText(tuples.localAddressOf(row)),
      address: addressText(tuples.remoteAddressOf(row)),
      port: tuples.remotePortOf(row),
      established: tuples.countOf(row, 'established'),
      timeWait: tuples.countOf(row, 'timeWait'),
      other: tuples.countOf(row, 'other'),
      outside: tuples.countOf(row, 'outside'),
    };
  }
}

function indicesOf(marks: Uint8Array): readonly number[] {
  const found: number[] = [];
  for (let at = marks.indexOf(1); at >= 0; at = marks.indexOf(1, at + 1)) found.push(at);
  return found;
}
