import { isIP } from 'node:net';

import { LinuxError } from './linux-error.ts';

// bits/socket.h
export const AF_INET = 2;
export const AF_INET6 = 10;

export interface IpBytes {
  readonly family: typeof AF_INET | typeof AF_INET6;
  /** In network order: 4 or 16. */
  readonly bytes: Buffer;
}

/** "10.0.0.2" or "fd00::2" as the kernel takes it. Throws LinuxError InvalidInput. */
export function ipBytes(ip: string): IpBytes {
  if (isIP(ip) === 4) return { family: AF_INET, bytes: Buffer.from(ip.split('.').map(Number)) };
  if (isIP(ip) === 6 && !/[%.]/.test(ip)) return { family: AF_INET6, bytes: ipv6Bytes(ip) };
  const message = `${JSON.stringify(ip)}: must be an IPv4 or IPv6 address without a zone`;
  throw new LinuxError({ kind: 'InvalidInput', syscall: 'netlink', message });
}

/** The reverse, IPv6 in the short form of RFC 5952. Throws LinuxError InvalidInput for another length. */
export function ipText(bytes: Buffer): string {
  if (bytes.length !== 4 && bytes.length !== 16) {
    const message = `an address of ${bytes.length} bytes: must be of 4 or 16`;
    throw new LinuxError({ kind: 'InvalidInput', syscall: 'netlink', message });
  }
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

const groupsOf = (text: string): readonly string[] => text.split(':').filter(Boolean);

function ipv6Bytes(ip: string): Buffer {
  const [head = '', tail] = ip.split('::');
  const left = groupsOf(head);
  const right = groupsOf(tail ?? '');
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  const bytes = Buffer.alloc(16);
  for (const [index, group] of groups.entries()) bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2);
  return bytes;
}
