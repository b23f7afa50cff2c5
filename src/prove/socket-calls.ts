import type * as Koffi from 'koffi';

import { createRequire } from 'node:module';

/**
 * The calls of libc that opening, accepting and holding sockets takes, straight to the kernel: a call costs 0.2–0.4 µs
 * more than in C, a connection no memory at all here. Negative results are -errno.
 */
export interface SocketCalls {
  readonly openSocket: () => number;
  readonly openListener: () => number;
  readonly bind: (fd: number, address: Buffer) => number;
  readonly connect: (fd: number, address: Buffer) => number;
  readonly listen: (fd: number, backlog: number) => number;
  readonly accept: (fd: number) => number;
  readonly setOption: (fd: number, option: SocketOption, value: number) => number;
  /** SO_ERROR: what became of a connect() that was in progress; 0 when it succeeded. */
  readonly pendingError: (fd: number) => number;
  readonly epollCreate: () => number;
  readonly watch: (epoll: number, fd: number, events: number) => number;
  /** Waits for events, hands out descriptor and event bits of each, and returns how many there were. */
  readonly wait: (epoll: number, timeoutMs: number, seen: (fd: number, events: number) => void) => number;
  readonly duplicate: (fd: number) => number;
  readonly close: (fd: number) => number;
  readonly closeFrom: (low: number, high: number) => number;
  /** pidfd_getfd(2): a descriptor of another process as one of ours. */
  readonly takeDescriptor: (pid: number, fd: number) => number;
  /**
   * Starts a process that does nothing but keep the sockets that this one has open, until this one ends. It needs some free
   * descriptors of its own to start. The sockets of openSocket and accept are inherited; a listener and all of Node's are not.
   */
  readonly startKeeper: () => number;
  readonly endWithParent: () => void;
}

// asm-generic/socket.h, linux/in.h, linux/tcp.h; the same on x86-64 and arm64.
const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const EPOLL_CTL_ADD = 1;
const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;
// asm-generic/unistd.h: calls since 5.1 have one number on every architecture.
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;

type SocketOption = 'ReuseAddress' | 'ReusePort' | 'BindAddressNoPort' | 'LocalPortRange' | 'SynRetries';

const options: Readonly<Record<SocketOption, readonly [level: number, name: number]>> = {
  ReuseAddress: [SOL_SOCKET, 2],
  ReusePort: [SOL_SOCKET, 15],
  BindAddressNoPort: [0, 24],
  LocalPortRange: [0, 51],
  SynRetries: [6, 7],
};

/** linux/eventpoll.h. OneShot: one event and no more, so that connections are counted once. */
export const epollEvents = {
  out: 4,
  error: 8,
  hangUp: 0x10,
  readHangUp: 0x2000,
  oneShot: 1 << 30,
  edge: 1 << 31,
};

const eventsPerWait = 512;
// struct epoll_event is packed on x86-64 alone.
const eventBytes = process.arch === 'x64' ? 12 : 16;
const dataOffset = process.arch === 'x64' ? 4 : 8;

const keeperCommand = ['setpriv', '--pdeathsig', 'KILL', 'sleep', 'infinity', null];

type Argument = number | string | Buffer | readonly (string | null)[] | null;
type Call = (...args: readonly Argument[]) => number;

/** sockaddr_in; `ip` as a number: 10.0.0.2 is 0x0a000002. */
export const writeSocketAddress = (into: Buffer, ip: number, port: number): Buffer => {
  into.writeUInt16LE(AF_INET, 0);
  into.writeUInt16BE(port, 2);
  into.writeUInt32BE(ip, 4);
  return into;
};

export const newSocketAddress = (): Buffer => Buffer.alloc(16);

// createRequire keeps a bundler from following the native module: it stays in node_modules beside the bundle.
const loadSymbols = () => {
  const koffi: typeof Koffi = createRequire(import.meta.url)('koffi');
  const library = koffi.load(null);
  const { errno } = koffi;
  const orErrno = (result: number): number => (result < 0 ? -errno() : result);
  return { call: (prototype: string): Call => library.func(prototype) as Call, orErrno };
};

type Symbols = ReturnType<typeof loadSymbols>;

const streamCalls = ({ call, orErrno }: Symbols) => {
  const socket = call('int socket(int, int, int)');
  const bind = call('int bind(int, void *, uint32_t)');
  const connect = call('int connect(int, void *, uint32_t)');
  const accept4 = call('int accept4(int, void *, void *, int)');
  const setsockopt = call('int setsockopt(int, int, int, void *, uint32_t)');
  const getsockopt = call('int getsockopt(int, int, int, void *, void *)');
  const listen = call('int listen(int, int)');
  const value = Buffer.alloc(4);
  const length = Buffer.alloc(4);
  return {
    openSocket: () => orErrno(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)),
    openListener: () => orErrno(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
    bind: (fd: number, address: Buffer) => orErrno(bind(fd, address, address.length)),
    connect: (fd: number, address: Buffer) => orErrno(connect(fd, address, address.length)),
    listen: (fd: number, backlog: number) => orErrno(listen(fd, backlog)),
    accept: (fd: number) => orErrno(accept4(fd, null, null, SOCK_NONBLOCK)),
    setOption: (fd: number, option: SocketOption, wanted: number) => {
      value.writeUInt32LE(wanted);
      const [level, name] = options[option];
      return orErrno(setsockopt(fd, level, name, value, 4));
    },
    pendingError: (fd: number) => {
      length.writeUInt32LE(4);
      const result = orErrno(getsockopt(fd, SOL_SOCKET, SO_ERROR, value, length));
      return result < 0 ? -result : value.readInt32LE();
    },
  };
};

const epollCalls = ({ call, orErrno }: Symbols) => {
  const control = call('int epoll_ctl(int, int, int, void *)');
  const epollWait = call('int epoll_wait(int, void *, int, int)');
  const create = call('int epoll_create1(int)');
  const event = Buffer.alloc(eventBytes);
  const events = Buffer.alloc(eventBytes * eventsPerWait);
  return {
    epollCreate: () => orErrno(create(SOCK_CLOEXEC)),
    watch: (epoll: number, fd: number, bits: number) => {
      event.writeUInt32LE(bits >>> 0, 0);
      event.writeUInt32LE(fd, dataOffset);
      return orErrno(control(epoll, EPOLL_CTL_ADD, fd, event));
    },
    wait: (epoll: number, timeoutMs: number, seen: (fd: number, events: number) => void) => {
      const count = orErrno(epollWait(epoll, events, eventsPerWait, timeoutMs));
      for (let at = 0; at < count; at += 1)
        seen(events.readUInt32LE(at * eventBytes + dataOffset), events.readUInt32LE(at * eventBytes));
      return count;
    },
  };
};

const processCalls = ({ call, orErrno }: Symbols) => {
  const syscall = call('long syscall(long, long, long, long)');
  const spawn = call('int posix_spawnp(void *, const char *, void *, void *, const char **, const char **)');
  const started = Buffer.alloc(4);
  const prctl = call('int prctl(int, unsigned long)');
  const closeRange = call('int close_range(uint32_t, uint32_t, int)');
  const close = call('int close(int)');
  const duplicate = call('int dup(int)');
  return {
    close: (fd: number) => orErrno(close(fd)),
    duplicate: (fd: number) => orErrno(duplicate(fd)),
    closeFrom: (low: number, high: number) => orErrno(closeRange(low, high, 0)),
    takeDescriptor: (pid: number, fd: number) => {
      const pidfd = orErrno(syscall(SYS_PIDFD_OPEN, pid, 0, 0));
      if (pidfd < 0) return pidfd;
      const taken = orErrno(syscall(SYS_PIDFD_GETFD, pidfd, fd, 0));
      close(pidfd);
      return taken;
    },
    // setpriv(1) has the kernel end it with this process and becomes sleep(1). V8 does not survive fork(2).
    startKeeper: () => {
      const error = spawn(started, 'setpriv', null, null, keeperCommand, ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', null]);
      return error === 0 ? started.readInt32LE() : -error;
    },
    endWithParent: () => void prctl(PR_SET_PDEATHSIG, SIGKILL),
  };
};

export const loadSocketCalls = (): SocketCalls => {
  const symbols = loadSymbols();
  return { ...streamCalls(symbols), ...epollCalls(symbols), ...processCalls(symbols) };
};
