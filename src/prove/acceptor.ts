import type { DescriptorRoom } from './descriptor-room.ts';
import type { Accept, Ended } from './holder-protocol.ts';
import { epollEvents, type SocketCalls } from './socket-calls.ts';

const EAGAIN = 11;
const EINTR = 4;
const ECONNABORTED = 103;
const nobodyThere: ReadonlySet<number> = new Set([EAGAIN, EINTR, ECONNABORTED]);

/** Accepts what arrives at some listening sockets and watches each connection for its end. */
export class Acceptor {
  readonly #calls: SocketCalls;
  readonly #epoll: number;
  readonly #room: DescriptorRoom;
  readonly #fds: readonly number[];
  readonly #until: number;
  readonly #start: number;
  #count: number;
  #lost = 0;
  #errno = 0;

  constructor(
    surroundings: { readonly calls: SocketCalls; readonly epoll: number; readonly room: DescriptorRoom },
    fds: readonly number[],
    { from, until }: Accept,
  ) {
    this.#calls = surroundings.calls;
    this.#epoll = surroundings.epoll;
    this.#room = surroundings.room;
    this.#fds = fds;
    this.#until = until;
    this.#start = from;
    this.#count = from;
  }

  get count(): number {
    return this.#count;
  }

  get held(): number {
    return this.#count - this.#start;
  }

  get lost(): number {
    return this.#lost;
  }

  get ended(): Ended | undefined {
    if (this.#errno === 0 && this.#count < this.#until) return undefined;
    return { reply: 'Ended', count: this.#count, errno: this.#errno, syscall: 'accept4' };
  }

  /** Accepts at most `batch` of each; false when nobody was there, so that the caller can wait a little. */
  step(batch: number): boolean {
    const before = this.#count;
    for (const fd of this.#fds) this.#acceptFrom(fd, batch);
    return this.#count > before;
  }

  #acceptFrom(fd: number, batch: number): void {
    let left = batch;
    while (left > 0 && this.ended === undefined && this.#acceptNext(fd)) left -= 1;
  }

  /** Hears of the connections that ended since the last time. */
  countLost(): void {
    let heard = 1;
    while (heard > 0) {
      heard = this.#calls.wait(this.#epoll, 0, (_, events) => {
        if ((events & (epollEvents.readHangUp | epollEvents.hangUp | epollEvents.error)) !== 0) this.#lost += 1;
      });
    }
  }

  #acceptNext(listener: number): boolean {
    const taken = this.#room.take();
    const fd = taken < 0 ? taken : this.#calls.accept(listener);
    if (fd >= 0) return this.#hold(fd);
    this.#room.giveBack();
    if (nobodyThere.has(-fd)) return false;
    if (this.#room.makesRoomAfter(-fd)) return true;
    this.#errno = -fd;
    return false;
  }

  #hold(fd: number): boolean {
    this.#room.keep();
    this.#count += 1;
    const watched = this.#calls.watch(this.#epoll, fd, epollEvents.readHangUp | epollEvents.edge);
    if (watched < 0) this.#errno = -watched;
    return watched >= 0;
  }
}
