import type { Ended, Open } from './holder-protocol.ts';
import type { DescriptorRoom } from './descriptor-room.ts';
import { connectionSourceFor, type ConnectionSource } from './connection-source.ts';
import { epollEvents, newSocketAddress, type SocketCalls, writeSocketAddress } from './socket-calls.ts';

const EINPROGRESS = 115;

/** Opens the connections of one command, a batch at a time, and counts those that are established. */
export class Opener {
  readonly #calls: SocketCalls;
  readonly #epoll: number;
  readonly #room: DescriptorRoom;
  readonly #command: Open;
  readonly #source: ConnectionSource;
  readonly #target = newSocketAddress();
  #next: number;
  #established: number;
  #pending = 0;
  #errno = 0;
  #syscall = '';

  constructor(
    surroundings: { readonly calls: SocketCalls; readonly epoll: number; readonly room: DescriptorRoom },
    command: Open,
  ) {
    this.#calls = surroundings.calls;
    this.#epoll = surroundings.epoll;
    this.#room = surroundings.room;
    this.#command = command;
    this.#source = connectionSourceFor(surroundings.calls, command.plan);
    this.#next = command.from;
    this.#established = command.from;
  }

  get established(): number {
    return this.#established;
  }

  get ended(): Ended | undefined {
    const isDone = this.#errno !== 0 || this.#next >= this.#command.until;
    if (!isDone || this.#pending > 0) return undefined;
    return { reply: 'Ended', count: this.#established, errno: this.#errno, syscall: this.#syscall };
  }

  /** Opens as many as the window allows, then hears what became of those on the way. */
  step(accepted: number, batch: number): void {
    const { until, window, plan } = this.#command;
    const allowed = plan.oneByOne === true && this.#pending > 0 ? this.#next : Math.min(until, accepted + window);
    const end = Math.min(allowed, this.#next + (plan.oneByOne === true ? 1 : batch));
    while (this.#errno === 0 && this.#next < end) this.#openNext();
    const isWaiting = this.#next >= allowed || this.#errno !== 0;
    if (this.#pending > 0 || isWaiting) this.#calls.wait(this.#epoll, isWaiting ? 1 : 0, this.#seen);
  }

  #openNext(): void {
    const taken = this.#room.take();
    const fd = taken < 0 ? taken : this.#calls.openSocket();
    if (fd < 0) {
      this.#room.giveBack();
      this.#full(-fd);
      return;
    }
    const failed = this.#connect(fd);
    if (failed !== undefined) {
      this.#calls.close(fd);
      this.#room.giveBack();
      this.#stop(failed.errno, failed.syscall);
      return;
    }
    this.#room.keep();
    this.#pending += 1;
    this.#next += 1;
  }

  #connect(fd: number): { readonly errno: number; readonly syscall: string } | undefined {
    const { target, failed } = this.#source.prepare(fd, this.#next);
    if (failed < 0) return { errno: -failed, syscall: 'bind' };
    const result = this.#calls.connect(fd, writeSocketAddress(this.#target, target.ip, target.port));
    if (result < 0 && result !== -EINPROGRESS) return { errno: -result, syscall: 'connect' };
    const watched = this.#calls.watch(this.#epoll, fd, epollEvents.out | epollEvents.oneShot);
    return watched < 0 ? { errno: -watched, syscall: 'epoll_ctl' } : undefined;
  }

  /** A keeper takes over what is established; what is still on the way must be heard of before. */
  #full(errno: number): void {
    for (let waited = 0; this.#pending > 0 && waited < 1000; waited += 1) this.#calls.wait(this.#epoll, 2, this.#seen);
    if (this.#pending > 0 || !this.#room.makesRoomAfter(errno)) this.#stop(errno, 'socket');
  }

  readonly #seen = (fd: number, events: number): void => {
    if ((events & epollEvents.out) === 0) return;
    this.#pending -= 1;
    const errno = (events & (epollEvents.error | epollEvents.hangUp)) === 0 ? 0 : this.#calls.pendingError(fd);
    if (errno === 0) this.#established += 1;
    else this.#stop(errno, 'connect');
  };

  #stop(errno: number, syscall: string): void {
    if (this.#errno !== 0) return;
    this.#errno = errno;
    this.#syscall = syscall;
  }
}
