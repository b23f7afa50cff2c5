/** One socket as struct inet_diag_msg tells it (linux/inet_diag.h); addresses in network order, 4 or 16 bytes. */
export interface DiagSocket {
  readonly state: number;
  readonly local: readonly number[];
  readonly localPort: number;
  readonly remote: readonly number[];
  readonly remotePort: number;
  readonly receive: number;
  readonly send: number;
}

// include/net/tcp_states.h
const ESTABLISHED = 1;
export const TIME_WAIT = 6;
export const BOUND = 7;
export const LISTEN = 10;

export const socket = (changes: Partial<DiagSocket> = {}): DiagSocket => ({
  state: ESTABLISHED,
  local: [10, 0, 0, 2],
  localPort: 40_000,
  remote: [10, 0, 0, 5],
  remotePort: 9092,
  receive: 0,
  send: 0,
  ...changes,
});

/** A netlink message: header, payload, padding to four bytes (netlink(7)). */
export function message(type: number, payload: Uint8Array, flags = 2): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((16 + payload.length) / 4) * 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 16 + payload.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  bytes.set(payload, 16);
  return bytes;
}

/** `attributes` bytes follow the fixed part, as many as the kernel likes. */
export function socketMessage(told: DiagSocket, attributes = 8, flags = 2): Uint8Array {
  const payload = new Uint8Array(72 + attributes);
  const view = new DataView(payload.buffer);
  view.setUint8(0, told.local.length === 4 ? 2 : 10);
  view.setUint8(1, told.state);
  view.setUint16(4, told.localPort);
  view.setUint16(6, told.remotePort);
  payload.set(told.local, 8);
  payload.set(told.remote, 24);
  view.setUint32(56, told.receive, true);
  view.setUint32(60, told.send, true);
  return message(18, payload, flags);
}

/** NLMSG_DONE with 0 or -errno. */
export function doneMessage(status = 0): Uint8Array {
  const payload = new Uint8Array(4);
  new DataView(payload.buffer).setInt32(0, status, true);
  return message(3, payload);
}

export function datagram(...messages: readonly Uint8Array[]): DataView {
  const bytes = Buffer.concat(messages);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
