/** What the proof and its holders (the processes that open, accept and hold) tell each other, over the IPC channel. */

/** `ip` as a number: 10.0.0.2 is 0x0a000002. */
export interface Endpoint {
  readonly ip: number;
  readonly port: number;
}

/** A socket to listen on, at every address of the namespace; its id names it to other processes. */
export interface Listener {
  readonly port: number;
  readonly backlog: number;
  /** SO_REUSEPORT: several sockets on one port, each with a queue of its own. */
  readonly isOneOfMany: boolean;
}

export interface Prepare {
  readonly command: 'Prepare';
  readonly netnsPath: string;
  readonly listeners: readonly Listener[];
  /** Sockets that another process listens on already: its process id, and the descriptors there. */
  readonly adopt: { readonly pid: number; readonly fds: readonly number[] } | undefined;
  /** Descriptors that the process's program needs for itself; this process fills up to them. */
  readonly reservedDescriptors: number;
  /** Descriptors left for connections, and each connection's; undefined: as many as the machine gives. */
  readonly room: number | undefined;
  readonly descriptorsPerConnection: number;
}

/** How the source of a connection is chosen. Ports: explicit, `count` from `low` on. */
type Source =
  | { readonly kind: 'Kernel'; readonly range: readonly [low: number, high: number] | undefined }
  | { readonly kind: 'Early' }
  | { readonly kind: 'Ports'; readonly low: number; readonly count: number };

export interface OpenPlan {
  readonly targets: readonly Endpoint[];
  /** Of each hundred connections so many go to the first target; undefined: evenly. */
  readonly busiestPercent: number | undefined;
  /** Source addresses in turn; empty: the kernel's choice. */
  readonly sourceIps: readonly number[];
  readonly source: Source;
  /** TCP_SYNCNT; undefined: the kernel's. */
  readonly synRetries: number | undefined;
  /** Whether the answer to each connection is heard before the next is opened: where one refusal ends the flow. */
  readonly oneByOne?: boolean;
}

export interface Open {
  readonly command: 'Open';
  readonly plan: OpenPlan;
  /** Connections of the flow that are open already, in other processes. */
  readonly from: number;
  readonly until: number;
  /** Opened ones that are not accepted yet: at most so many. */
  readonly window: number;
}

export interface Accept {
  readonly command: 'Accept';
  /** Indices into what Prepare listens on. */
  readonly listeners: readonly number[];
  readonly from: number;
  readonly until: number;
}

/** Close: all connections that this process itself holds. */
export type Command = Prepare | Open | Accept | { readonly command: 'Stop' | 'Count' | 'Close' };

/** Where an Open or an Accept ended: `count` of the flow in all; errno 0 when it was told to. */
export interface Ended {
  readonly reply: 'Ended';
  readonly count: number;
  readonly errno: number;
  readonly syscall: string;
}

export interface Prepared {
  readonly reply: 'Prepared';
  readonly listenerFds: readonly number[];
}

/** What the process has opened and accepted: connections it lost by now are counted too. */
export interface Counted {
  readonly reply: 'Counted';
  readonly held: number;
  readonly lost: number;
  readonly keeperPids: readonly number[];
}

export type Reply = Prepared | Ended | Counted | { readonly reply: 'Failed'; readonly message: string };

/** Slots of the file of counters that both sides share; so many bytes each. */
export const counterSlots = { opened: 0, accepted: 8 } as const;
export const counterDescriptor = 4;
