import { type FailedCall, LinuxError, linuxErrorForErrno } from './linux-error.ts';
import { AF_NETLINK, type NetlinkCalls, netlinkCalls, SOCK_RAW_CLOEXEC } from './netlink-calls.ts';

/**
 * NETLINK_ROUTE (rtnetlink(7)) in the calling thread's network namespace, synchronous: the kernel has answered when the
 * request has been sent. Numbers are in the byte order of the machines that Node runs on, all of them little-endian.
 */
export interface RouteSocket extends Disposable {
  /** The bodies of the answers. Throws LinuxError. */
  readonly ask: (request: NetlinkRequest, call: FailedCall) => readonly Buffer[];
}

export interface NetlinkRequest {
  readonly type: number;
  readonly flags: number;
  readonly body: Buffer;
}

// linux/netlink.h
export const netlinkFlags = { dump: 0x300, exclusive: 0x200, create: 0x400 } as const;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NETLINK_ROUTE = 0;
const headerBytes = 16;
// bits/socket.h
const MSG_DONTWAIT = 0x40;

// A dump comes in parts of at most 32 KiB (netlink_recvmsg, net/netlink/af_netlink.c).
const receiveBytes = 32_768;
const attributeHeaderBytes = 4;

/** Throws LinuxError. */
export function openRouteSocket(): RouteSocket {
  const calls = netlinkCalls();
  const fd = calls.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) throw linuxErrorForErrno(calls.errno(), { syscall: 'socket', attempt: 'open a netlink socket' });
  let sequence = 0;
  return {
    ask: (request, call) => {
      sequence += 1;
      send(calls, fd, { message: messageOf(request, sequence), call });
      return receive(calls, fd, call);
    },
    [Symbol.dispose]: () => void calls.close(fd),
  };
}

/** struct rtattr: length and type, then the value, padded to four bytes. */
export function attribute(type: number, value: Buffer): Buffer {
  const padded = Buffer.alloc(Math.ceil((attributeHeaderBytes + value.length) / 4) * 4);
  padded.writeUInt16LE(attributeHeaderBytes + value.length, 0);
  padded.writeUInt16LE(type, 2);
  value.copy(padded, attributeHeaderBytes);
  return padded;
}

/** Of an attribute; undefined where it is not there, or is none. */
export function uint32Of(value: Buffer | undefined): number | undefined {
  return value === undefined || value.length < 4 ? undefined : value.readUInt32LE();
}

export function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

/** The attributes behind a fixed part of `offset` bytes, by type. Throws LinuxError where that part is not whole. */
export function attributesOf(body: Buffer, offset: number): ReadonlyMap<number, Buffer> {
  if (body.length < offset) throw notUnderstood(`a body of ${body.length} bytes`);
  const found = new Map<number, Buffer>();
  for (let at = offset; at + attributeHeaderBytes <= body.length;) {
    const length = body.readUInt16LE(at);
    if (length < attributeHeaderBytes || at + length > body.length) break;
    found.set(body.readUInt16LE(at + 2), body.subarray(at + attributeHeaderBytes, at + length));
    at += Math.ceil(length / 4) * 4;
  }
  return found;
}

function messageOf({ type, flags, body }: NetlinkRequest, sequence: number): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32LE(headerBytes + body.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(NLM_F_REQUEST | NLM_F_ACK | flags, 6);
  header.writeUInt32LE(sequence, 8);
  return Buffer.concat([header, body]);
}

function send(
  calls: NetlinkCalls,
  fd: number,
  { message, call }: { readonly message: Buffer; readonly call: FailedCall },
) {
  if (calls.send(fd, message, message.length, 0) < 0) throw linuxErrorForErrno(calls.errno(), call);
}

/** Until the acknowledgement, which is the last part of an answer; of a dump the end. */
function receive(calls: NetlinkCalls, fd: number, call: FailedCall): readonly Buffer[] {
  const bodies: Buffer[] = [];
  for (;;) {
    const part = Buffer.alloc(receiveBytes);
    const length = calls.recv(fd, part, part.length, MSG_DONTWAIT);
    if (length < 0) throw linuxErrorForErrno(calls.errno(), call);
    if (addBodies(bodies, part.subarray(0, length), call)) return bodies;
  }
}

/** Adds the bodies of one datagram, and says whether it was the last. Throws LinuxError. */
export function addBodies(bodies: Buffer[], datagram: Buffer, call: FailedCall): boolean {
  for (const { type, body } of messagesOf(datagram)) {
    if (type === NLMSG_DONE) return true;
    if (type === NLMSG_ERROR) {
      checkStatus(body, call);
      return true;
    }
    bodies.push(body);
  }
  return false;
}

/** 0 or -errno. */
function checkStatus(body: Buffer, call: FailedCall): void {
  if (body.length < 4) throw notUnderstood(`a status of ${body.length} bytes`);
  const status = body.readInt32LE(0);
  if (status < 0) throw linuxErrorForErrno(-status, call);
}

function messagesOf(part: Buffer): readonly { readonly type: number; readonly body: Buffer }[] {
  const messages = [];
  for (let at = 0; at + headerBytes <= part.length;) {
    const length = part.readUInt32LE(at);
    if (length < headerBytes || at + length > part.length) {
      throw notUnderstood(`${length} bytes where ${part.length - at} are left`);
    }
    messages.push({ type: part.readUInt16LE(at + 4), body: part.subarray(at + headerBytes, at + length) });
    at += Math.ceil(length / 4) * 4;
  }
  return messages;
}

function notUnderstood(what: string): LinuxError {
  return new LinuxError({
    kind: 'SystemCall',
    syscall: 'recv',
    message: `cannot understand a netlink message: ${what}`,
  });
}
