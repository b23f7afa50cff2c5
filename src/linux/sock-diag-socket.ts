import { linuxErrorForErrno } from './linux-error.ts';
import { AF_NETLINK, netlinkCalls, SOCK_RAW_CLOEXEC } from './netlink-calls.ts';

// linux/netlink.h, asm-generic/socket.h; the same on x86-64 and arm64.
const NETLINK_SOCK_DIAG = 4;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const MSG_TRUNC = 0x20;

// netlink_recvmsg() makes datagrams as large as the largest buffer it has seen, up to 32 KiB (net/netlink/af_netlink.c).
export const DATAGRAM_BYTES = 32 * 1024;

// A dump answers at once or not at all: what waits longer would wait for ever.
const PATIENCE_SECONDS = 10n;

const EINTR = 4;
const CALL = {
  syscall: 'recv',
  attempt: 'read the sockets of a network namespace',
  kinds: { EAGAIN: 'TimedOut', ENOENT: 'NotFound', EPROTONOSUPPORT: 'NotFound' },
} as const;

/**
 * sock_diag(7): sends one request from the calling thread's network namespace and hands out each datagram of the answer,
 * in a buffer that is used again, until `isLast` says so. Throws LinuxError NotFound (a kernel without CONFIG_INET_DIAG),
 * NotPermitted or TimedOut. An ordinary user may ask too.
 */
export function askSockDiag(request: Uint8Array, isLast: (datagram: DataView) => boolean): void {
  const fd = openSockDiag();
  try {
    checked(netlinkCalls().send(fd, request, request.length, 0));
    receiveAll(fd, isLast);
  } finally {
    netlinkCalls().close(fd);
  }
}

/** A socket that belongs to the calling thread's network namespace, whoever uses it. Throws LinuxError as askSockDiag. */
export function openSockDiag(): number {
  const { socket, setsockopt, close } = netlinkCalls();
  const fd = checked(socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_SOCK_DIAG));
  try {
    checked(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, new BigInt64Array([PATIENCE_SECONDS, 0n]), 16));
    return fd;
  } catch (error) {
    close(fd);
    throw error;
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
  const { recv, errno } = netlinkCalls();
  for (;;) {
    const length = recv(fd, bytes, bytes.length, MSG_TRUNC);
    if (length >= 0) return length;
    if (errno() !== EINTR) throw linuxErrorForErrno(errno(), CALL);
  }
}

function checked(result: number): number {
  if (result < 0) throw linuxErrorForErrno(netlinkCalls().errno(), CALL);
  return result;
}
