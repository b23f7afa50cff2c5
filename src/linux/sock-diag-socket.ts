import type * as Koffi from 'koffi';

import { createRequire } from 'node:module';

import { linuxErrorForErrno } from './linux-error.ts';

// linux/socket.h, linux/netlink.h, asm-generic/socket.h and bits/socket.h; the same on x86-64 and arm64.
const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_SOCK_DIAG = 4;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const MSG_TRUNC = 0x20;

// netlink_recvmsg() makes datagrams as large as the largest buffer it has seen, up to 32 KiB (net/netlink/af_netlink.c).
const DATAGRAM_BYTES = 32 * 1024;

// A dump answers at once or not at all: what waits longer would wait for ever.
const PATIENCE_SECONDS = 10n;

const EINTR = 4;
const CALL = {
  syscall: 'recv',
  attempt: 'read the sockets of a network namespace',
  kinds: { EAGAIN: 'TimedOut', ENOENT: 'NotFound', EPROTONOSUPPORT: 'NotFound' },
} as const;

type Transfer = readonly [fd: number, bytes: Uint8Array, length: number, flags: number];
type Option = readonly [fd: number, level: number, option: number, value: BigInt64Array, length: number];

interface Calls {
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly setsockopt: (...args: Option) => number;
  readonly send: (...args: Transfer) => number;
  readonly recv: (...args: Transfer) => number;
  readonly close: (fd: number) => number;
  readonly errno: () => number;
}

let loaded: Calls | undefined;

/**
 * sock_diag(7): sends one request from the calling thread's network namespace and hands out each datagram of the answer,
 * in a buffer that is used again, until `isLast` says so. Throws LinuxError NotFound (a kernel without CONFIG_INET_DIAG),
 * NotPermitted or TimedOut. An ordinary user may ask too.
 */
export function askSockDiag(request: Uint8Array, isLast: (datagram: DataView) => boolean): void {
  const { socket, close } = calls();
  const fd = checked(socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_SOCK_DIAG));
  try {
    const { setsockopt, send } = calls();
    checked(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, new BigInt64Array([PATIENCE_SECONDS, 0n]), 16));
    checked(send(fd, request, request.length, 0));
    receiveAll(fd, isLast);
  } finally {
    close(fd);
  }
}

function receiveAll(fd: number, isLast: (datagram: DataView) => boolean): void {
  const bytes = new Uint8Array(DATAGRAM_BYTES);
  for (;;) {
    const length = receive(fd, bytes);
    if (isLast(new DataView(bytes.buffer, 0, Math.min(length, bytes.length)))) return;
  }
}

function receive(fd: number, bytes: Uint8Array): number {
  const { recv, errno } = calls();
  for (;;) {
    const length = recv(fd, bytes, bytes.length, MSG_TRUNC);
    if (length >= 0) return length;
    if (errno() !== EINTR) throw linuxErrorForErrno(errno(), CALL);
  }
}

function checked(result: number): number {
  if (result < 0) throw linuxErrorForErrno(calls().errno(), CALL);
  return result;
}

// createRequire keeps a bundler from following the native module: it stays in node_modules beside the bundle.
function calls(): Calls {
  if (loaded !== undefined) return loaded;
  const koffi: typeof Koffi = createRequire(import.meta.url)('koffi');
  const libc = koffi.load(null);
  loaded = {
    socket: libc.func('int socket(int, int, int)'),
    setsockopt: libc.func('int setsockopt(int, int, int, void *, uint32_t)'),
    send: libc.func('long send(int, void *, size_t, int)'),
    recv: libc.func('long recv(int, void *, size_t, int)'),
    close: libc.func('int close(int)'),
    errno: () => koffi.errno(),
  };
  return loaded;
}
