import { endianness } from 'node:os';

import { INET_DIAG_MSG_BYTES } from './inet-diag-message.ts';
import { LinuxError, linuxErrorForErrno } from './linux-error.ts';
import { askSockDiag } from './sock-diag-socket.ts';
import { type PortRange, readSysctl } from './sysctls.ts';
import { type TcpSockets, TcpTally } from './tcp-sockets.ts';

// linux/netlink.h
const HEADER_BYTES = 16;
const NLM_F_REQUEST = 1;
const NLM_F_DUMP = 0x300;
const NLM_F_DUMP_INTR = 0x10;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const ALIGNMENT = 4;
const isLittleEndian = endianness() === 'LE';

/**
 * linux/inet_diag.h: TCPDIAG_GETSOCK, which ss(8) sends too. Unlike SOCK_DIAG_BY_FAMILY it tells IPv4 and IPv6 in one pass;
 * each pass walks the hash of the whole machine.
 */
const TCPDIAG_GETSOCK = 18;
const INET_DIAG_REQ_BYTES = 60;
const STATES_OFFSET = 52;
// Bits of tcp_states.h: 1 to 12, and 13, bound only, which kernels before 6.8 pass over.
const ALL_STATES = 0x3ffe;

/** A dump of the TCP sockets in these states (bits of tcp_states.h), both families, no extensions. */
export function tcpDumpRequest(states: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + INET_DIAG_REQ_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, isLittleEndian);
  view.setUint16(4, TCPDIAG_GETSOCK, isLittleEndian);
  view.setUint16(6, NLM_F_REQUEST | NLM_F_DUMP, isLittleEndian);
  view.setUint32(HEADER_BYTES + STATES_OFFSET, states, isLittleEndian);
  return bytes;
}

interface Tally {
  wasInterrupted: boolean;
  /** One struct inet_diag_msg, whole, at `start`. */
  readonly add: (view: DataView, start: number) => void;
}

/**
 * Adds the sockets of one datagram, and says whether it was the last. Throws LinuxError for what the kernel reports, and for
 * what is no answer of a kernel: a message that is cut, or shorter than its header.
 */
export function addSockets(tally: Tally, datagram: DataView): boolean {
  let start = 0;
  while (start < datagram.byteLength) {
    const rest = datagram.byteLength - start;
    const length = rest < HEADER_BYTES ? 0 : datagram.getUint32(start, isLittleEndian);
    if (length < HEADER_BYTES || length > rest)
      throw notUnderstood(`a message of ${length} bytes where ${rest} are left`);
    const type = datagram.getUint16(start + 4, isLittleEndian);
    if ((datagram.getUint16(start + 6, isLittleEndian) & NLM_F_DUMP_INTR) !== 0) tally.wasInterrupted = true;
    if (type === NLMSG_DONE || type === NLMSG_ERROR) {
      checkStatus(datagram, start + HEADER_BYTES, length - HEADER_BYTES);
      return true;
    }
    if (length < HEADER_BYTES + INET_DIAG_MSG_BYTES) throw notUnderstood(`a socket of ${length} bytes`);
    tally.add(datagram, start + HEADER_BYTES);
    start += Math.ceil(length / ALIGNMENT) * ALIGNMENT;
  }
  return false;
}

/** All TCP sockets of the calling thread's network namespace, in one pass. Throws LinuxError. */
export function readTcpSockets(mostDestinations: number, procRoot?: string): TcpSockets {
  const tally = new TcpTally(portRangeFor(readSysctl('net.ipv4.ip_local_port_range', procRoot)));
  askSockDiag(tcpDumpRequest(ALL_STATES), (datagram) => addSockets(tally, datagram));
  return tally.result(mostDestinations);
}

function portRangeFor(value: string): PortRange {
  const [low = 0, high = 0] = value.split(' ').map(Number);
  return { low, high };
}

// NLMSG_DONE and NLMSG_ERROR carry 0 or -errno.
function checkStatus(datagram: DataView, start: number, length: number): void {
  const status = length < 4 ? 0 : datagram.getInt32(start, isLittleEndian);
  if (status < 0)
    throw linuxErrorForErrno(-status, { syscall: 'recv', attempt: 'read the sockets of a network namespace' });
}

function notUnderstood(what: string): LinuxError {
  const message = `cannot understand the kernel's answer about sockets: ${what}`;
  return new LinuxError({ kind: 'SystemCall', syscall: 'recv', message });
}
