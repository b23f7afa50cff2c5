import { SocketAddress } from 'node:net';
import { endianness } from 'node:os';

/** struct inet_diag_msg (linux/inet_diag.h), read where it lies. Ports and addresses are in network order, the rest is not. */
export const INET_DIAG_MSG_BYTES = 72;

const OFFSET = { family: 0, state: 1, port: 4, remotePort: 6, local: 8, remote: 24, receive: 56, send: 60 } as const;

const isLittleEndian = endianness() === 'LE';
const AF_INET = 2;
const V4_MAPPED = 0xffff;

export const ADDRESS_WORDS = 4;

/** Local address, remote address, remote port. */
export const TUPLE_KEY_WORDS = 2 * ADDRESS_WORDS + 1;

export function stateAt(view: DataView, start: number): number {
  return view.getUint8(start + OFFSET.state);
}

export function localPortAt(view: DataView, start: number): number {
  return view.getUint16(start + OFFSET.port);
}

export function remotePortAt(view: DataView, start: number): number {
  return view.getUint16(start + OFFSET.remotePort);
}

/** Bytes that are not read yet; of a listener the connections that wait to be accepted. */
export function receiveQueueAt(view: DataView, start: number): number {
  return view.getUint32(start + OFFSET.receive, isLittleEndian);
}

/** Bytes that are not acknowledged yet; of a listener its backlog, as far as somaxconn allowed it. */
export function sendQueueAt(view: DataView, start: number): number {
  return view.getUint32(start + OFFSET.send, isLittleEndian);
}

/** In words of host order; an IPv4 address is mapped into IPv6 (RFC 4291, 2.5.5.2), so both have one form. */
export function localAddressAt(view: DataView, start: number): Uint32Array {
  const words = new Uint32Array(ADDRESS_WORDS);
  writeAddress(words, 0, { view, at: start + OFFSET.local, isV4: isV4At(view, start) });
  return words;
}

export function writeTupleKey(key: Uint32Array, view: DataView, start: number): void {
  const isV4 = isV4At(view, start);
  writeAddress(key, 0, { view, at: start + OFFSET.local, isV4 });
  writeAddress(key, ADDRESS_WORDS, { view, at: start + OFFSET.remote, isV4 });
  key[2 * ADDRESS_WORDS] = remotePortAt(view, start);
}

/** The words of an address as text: 0, 0, 0x0000ffff, 0x0a000005 is "10.0.0.5". */
export function addressText(words: Uint32Array): string {
  const [first = 0, second = 0, third = 0, last = 0] = words;
  if (first === 0 && second === 0 && third === V4_MAPPED)
    return [24, 16, 8, 0].map((shift) => (last >>> shift) & 255).join('.');
  const groups = [...words].flatMap((word) => [word >>> 16, word & 0xffff]);
  return new SocketAddress({ address: groups.map((group) => group.toString(16)).join(':'), family: 'ipv6' }).address;
}

function isV4At(view: DataView, start: number): boolean {
  return view.getUint8(start + OFFSET.family) === AF_INET;
}

interface AddressPlace {
  readonly view: DataView;
  readonly at: number;
  readonly isV4: boolean;
}

function writeAddress(into: Uint32Array, word: number, { view, at, isV4 }: AddressPlace): void {
  into[word] = isV4 ? 0 : view.getUint32(at);
  into[word + 1] = isV4 ? 0 : view.getUint32(at + 4);
  into[word + 2] = isV4 ? V4_MAPPED : view.getUint32(at + 8);
  into[word + 3] = view.getUint32(isV4 ? at : at + 12);
}
