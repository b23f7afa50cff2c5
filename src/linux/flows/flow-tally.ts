import {
  ADDRESS_WORDS,
  localPortAt,
  remotePortAt,
  stateAt,
  TUPLE_KEY_WORDS,
  writeTupleKey,
} from '../inet-diag-message.ts';
import {
  countsOf,
  type FlowCount,
  type FlowMatch,
  mappedAddress,
  portCount,
  portSlots,
  type Remote,
  slotCount,
  slotOf,
  undeclaredSlot,
} from './flow-match.ts';

// include/net/tcp_states.h
const [ESTABLISHED, TIME_WAIT, LISTEN] = [1, 6, 10];

/** Counts the sockets that sock_diag(7) tells, as flows.bpf.c does in the kernel. */
export class FlowTally {
  /** The sockets changed meanwhile: a few may be missing or counted twice. */
  wasInterrupted = false;
  readonly #matches: readonly FlowMatch[];
  readonly #portSlots: Uint8Array;
  readonly #remotes: ReadonlyMap<string, number>;
  readonly #tuple = new Uint32Array(TUPLE_KEY_WORDS);
  readonly #established = new Float64Array(slotCount);
  readonly #timeWait = new Float64Array(slotCount);

  constructor(matches: readonly FlowMatch[]) {
    this.#matches = matches;
    this.#portSlots = portSlots(matches);
    this.#remotes = remoteSlots(matches);
  }

  /** One struct inet_diag_msg, whole, at `start`. The kernel tells listeners first. */
  add(view: DataView, start: number): void {
    const state = stateAt(view, start);
    const port = localPortAt(view, start);
    if (state === LISTEN) this.#portSlots[port] ||= undeclaredSlot;
    if (state !== ESTABLISHED && state !== TIME_WAIT) return;
    const counts = state === ESTABLISHED ? this.#established : this.#timeWait;
    const slot = this.#portSlots[port] || this.#remoteSlot(view, start);
    counts[slot] = (counts[slot] ?? 0) + 1;
  }

  result(): readonly FlowCount[] {
    return countsOf(this.#matches, (slot) => ({
      established: this.#established[slot] ?? 0,
      timeWait: this.#timeWait[slot] ?? 0,
    }));
  }

  #remoteSlot(view: DataView, start: number): number {
    if (this.#remotes.size > 0) {
      writeTupleKey(this.#tuple, view, start);
      const listed = this.#remotes.get(this.#tuple.subarray(ADDRESS_WORDS).join());
      if (listed !== undefined) return listed;
    }
    return this.#portSlots[portCount + remotePortAt(view, start)] ?? 0;
  }
}

/** By the words of the address and the port. */
function remoteSlots(matches: readonly FlowMatch[]): ReadonlyMap<string, number> {
  return new Map(
    matches.flatMap(({ remotes }, index) => remotes.map((remote) => [keyOf(remote), slotOf(index)] as const)),
  );
}

function keyOf({ ip, port }: Remote): string {
  const address = mappedAddress(ip);
  return [...[0, 4, 8, 12].map((at) => address.readUInt32BE(at)), port].join();
}
