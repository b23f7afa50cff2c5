import type * as Koffi from 'koffi';

import { createRequire } from 'node:module';

import { type FailedCall, linuxErrorForErrno } from './linux-error.ts';

// asm-generic/resource.h; the same on every architecture that Node runs on.
const RLIMIT_NOFILE = 7;
// linux/sched.h. With the type given, setns(2) refuses a descriptor of any other kind of namespace (EINVAL).
const CLONE_NEWNET = 0x4000_0000;
// linux/socket.h, asm-generic/socket.h, linux/net.h.
const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const SOL_SOCKET = 1;
const SO_NETNS_COOKIE = 71;
// RLIM64_INFINITY of asm-generic/resource.h is ~0ULL.
const RLIM64_INFINITY = 2n ** 64n - 1n;
// asm-generic/fcntl.h
const LOCK_EX = 2;
const LOCK_NB = 4;
const EAGAIN = 11;

/** Soft and hard limit; `Infinity` is what /proc/PID/limits prints as "unlimited". */
export interface Rlimit {
  readonly soft: number;
  readonly hard: number;
}

type PrlimitArguments = readonly [pid: number, resource: number, limit: BigUint64Array, previous: BigUint64Array];

type GetsockoptArguments = readonly [
  fd: number,
  level: number,
  option: number,
  value: BigUint64Array,
  length: Uint32Array,
];

interface Libc {
  readonly prlimit64: (...args: PrlimitArguments) => number;
  readonly setns: (fd: number, type: number) => number;
  readonly socket: (family: number, type: number, protocol: number) => number;
  readonly getsockopt: (...args: GetsockoptArguments) => number;
  /** Node's own close() warns in a worker thread about descriptors that Node did not open. */
  readonly close: (fd: number) => number;
  readonly flock: (fd: number, operation: number) => number;
  readonly errno: () => number;
}

let loaded: Libc | undefined;

/** Loads the C library now rather than at the first call, which then costs no more than the call. */
export function loadLibc(): void {
  libc();
}

/** prlimit(2): sets RLIMIT_NOFILE of `pid` and returns what it was, in one step. Throws LinuxError. */
export function exchangeNofile(pid: number, limit: Rlimit, call: FailedCall): Rlimit {
  const { prlimit64, errno } = libc();
  const wanted = new BigUint64Array([rlimitValue(limit.soft), rlimitValue(limit.hard)]);
  const previous = new BigUint64Array(2);
  if (prlimit64(pid, RLIMIT_NOFILE, wanted, previous) !== 0) throw linuxErrorForErrno(errno(), call);
  return { soft: numberFor(previous[0]), hard: numberFor(previous[1]) };
}

/** setns(2): moves the calling thread, and no other, into the network namespace that `fd` is open on. */
export function enterNetworkNamespace(fd: number, call: FailedCall): void {
  const { setns, errno } = libc();
  if (setns(fd, CLONE_NEWNET) !== 0) throw linuxErrorForErrno(errno(), call);
}

/**
 * SO_NETNS_COOKIE (5.14) of a socket made for this: the number by which eBPF programs know the calling thread's network
 * namespace. No two namespaces ever have the same until the machine restarts.
 */
export function readNetnsCookie(): bigint {
  const { socket, getsockopt, close, errno } = libc();
  const call = { syscall: 'getsockopt', attempt: 'read the cookie of the network namespace' };
  const fd = socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  if (fd < 0) throw linuxErrorForErrno(errno(), call);
  try {
    const cookie = new BigUint64Array(1);
    const failed = getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, new Uint32Array([8])) !== 0;
    if (failed) throw linuxErrorForErrno(errno(), call);
    return cookie[0] ?? 0n;
  } finally {
    close(fd);
  }
}

/** flock(2): true when the lock is ours, until `fd` is closed or this process ends, whichever way; false: another has it. */
export function tryLockFile(fd: number, call: FailedCall): boolean {
  const { flock, errno } = libc();
  if (flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const reason = errno();
  if (reason === EAGAIN) return false;
  throw linuxErrorForErrno(reason, call);
}

// createRequire keeps a bundler from following the native module: it stays in node_modules beside the bundle.
function libc(): Libc {
  if (loaded !== undefined) return loaded;
  const koffi: typeof Koffi = createRequire(import.meta.url)('koffi');
  // null: the symbols of the program itself, which Node has linked with whichever C library the system has.
  const symbols = koffi.load(null);
  loaded = {
    prlimit64: symbols.func('int prlimit64(int pid, int resource, void *limit, void *previous)'),
    setns: symbols.func('int setns(int fd, int type)'),
    socket: symbols.func('int socket(int family, int type, int protocol)'),
    getsockopt: symbols.func('int getsockopt(int fd, int level, int option, void *value, void *length)'),
    close: symbols.func('int close(int fd)'),
    flock: symbols.func('int flock(int fd, int operation)'),
    errno: () => koffi.errno(),
  };
  return loaded;
}

function rlimitValue(limit: number): bigint {
  return limit === Number.POSITIVE_INFINITY ? RLIM64_INFINITY : BigInt(limit);
}

function numberFor(value: bigint | undefined): number {
  return value === undefined || value === RLIM64_INFINITY ? Number.POSITIVE_INFINITY : Number(value);
}
