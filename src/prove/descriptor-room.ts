import { readdirSync } from 'node:fs';

import { exchangeNofile } from '../linux/libc.ts';
import { readNofile } from '../linux/rlimits.ts';
import type { SocketCalls } from './socket-calls.ts';

const EMFILE = 24;
/** What a keeper needs free to start: its loader opens libraries. */
const spareDescriptors = 16;

/**
 * The descriptors of a holder. A limit that is larger than this machine allows one process is stood in for by several: a
 * full process leaves what is open to a keeper, closes it here, and goes on. The last one is limited so that all of
 * them together have exactly the room that is to be proven, and the kernel's own EMFILE ends it.
 */
export class DescriptorRoom {
  readonly #keeperPids: number[] = [];
  readonly #calls: SocketCalls;
  readonly #perConnection: number;
  readonly #hard: number;
  readonly #first: number;
  readonly #extra: number[] = [];
  #remaining: number;
  #used = 0;

  constructor(
    calls: SocketCalls,
    wanted: {
      readonly reserved: number;
      readonly room: number | undefined;
      readonly perConnection: number;
    },
  ) {
    this.#calls = calls;
    this.#perConnection = wanted.perConnection;
    this.#remaining = wanted.room ?? Number.POSITIVE_INFINITY;
    this.#hard = readNofile(process.pid).hard;
    this.#first = fillUpTo(calls, Math.min(wanted.reserved, this.#hard - 1));
    this.#limit();
  }

  get keeperPids(): readonly number[] {
    return this.#keeperPids;
  }

  /** Takes what a connection has besides its socket; -EMFILE where it does not fit. Undone by `giveBack`. */
  take(): number {
    for (let taken = 1; taken < this.#perConnection; taken += 1) {
      const fd = this.#calls.duplicate(0);
      if (fd < 0) return this.#giveBackUntil(taken - 1, fd);
      this.#extra.push(fd);
    }
    return 0;
  }

  giveBack(): void {
    this.#giveBackUntil(this.#extra.length, 0);
  }

  keep(): void {
    this.#extra.length = 0;
    this.#used += this.#perConnection;
  }

  /** Whether there is room again after EMFILE; then a keeper has what was open. */
  makesRoomAfter(errno: number): boolean {
    const left = this.#remaining - this.#used;
    if (errno !== EMFILE || left < this.#perConnection || this.#used === 0) return false;
    this.#setSoft(this.#hard);
    const pid = this.#calls.startKeeper();
    if (pid < 0) return false;
    this.#keeperPids.push(pid);
    this.closeAll();
    this.#remaining = left;
    this.#limit();
    return true;
  }

  /** Closes every connection that this process has open itself; those that keepers hold stay. */
  closeAll(): void {
    this.#calls.closeFrom(this.#first, 0x7fff_ffff);
    this.#used = 0;
  }

  #giveBackUntil(count: number, result: number): number {
    for (let given = 0; given < count; given += 1) this.#calls.close(this.#extra.pop() ?? -1);
    return result;
  }

  #limit(): void {
    const fitting = this.#first + this.#remaining;
    this.#setSoft(fitting <= this.#hard ? fitting : this.#hard - spareDescriptors);
  }

  #setSoft(soft: number): void {
    const call = { syscall: 'prlimit64', attempt: `lower its soft nofile to ${soft}` };
    exchangeNofile(0, { soft, hard: this.#hard }, call);
  }
}

/** Closes the gaps between this process's descriptors, and goes on to `reserved`: the next one is what is returned. */
function fillUpTo(calls: SocketCalls, reserved: number): number {
  const highest = Math.max(...readdirSync('/proc/self/fd').map(Number));
  // The listing had a descriptor of its own, so the highest may be free by now.
  let next = calls.duplicate(0);
  while (next >= 0 && next < Math.max(highest, reserved)) next = calls.duplicate(0);
  calls.close(next);
  return next;
}
