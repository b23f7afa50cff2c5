import { interfaceIndex } from './interfaces.ts';
import { type IpBytes, ipBytes, ipText } from './ip-bytes.ts';
import { attribute, attributesOf, netlinkFlags, openRouteSocket, type RouteSocket } from './netlink.ts';

/**
 * Whether somebody on the link has an address already: the kernel asks by ARP or neighbour discovery, and keeps who
 * answers. That takes no raw socket, so no CAP_NET_RAW. All throw LinuxError.
 */

export interface Neighbour {
  readonly ip: string;
  /** "02:42:ac:11:00:02" */
  readonly linkAddress: string;
}

// linux/rtnetlink.h
const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
// linux/neighbour.h
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NTF_USE = 1;
const NUD_VALID = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80;
const headerBytes = 12;

/** Sends the questions; an answer takes as long as a packet's way there and back. */
export function askNeighbours(interfaceName: string, ips: readonly string[]): void {
  using socket = openRouteSocket();
  const index = interfaceIndex(socket, interfaceName);
  for (const ip of ips) {
    const request = { type: RTM_NEWNEIGH, flags: netlinkFlags.create, body: neighbour(ipBytes(ip), index, NTF_USE) };
    socket.ask(request, { syscall: 'netlink', attempt: `ask who has ${ip}` });
  }
}

/** Those that have answered so far; what is known of `ips` is forgotten, for they are to be our own. */
export function takeNeighbours(interfaceName: string, ips: readonly string[]): readonly Neighbour[] {
  using socket = openRouteSocket();
  const index = interfaceIndex(socket, interfaceName);
  const asked = new Set(ips);
  const known = readNeighbours(socket, index).filter(({ ip }) => asked.has(ip));
  for (const { ip } of known) {
    const request = { type: RTM_DELNEIGH, flags: 0, body: neighbour(ipBytes(ip), index, 0) };
    socket.ask(request, { syscall: 'netlink', attempt: `forget who has ${ip}`, kinds: { ENOENT: 'NotFound' } });
  }
  return known.flatMap(({ ip, linkAddress }) => (linkAddress === undefined ? [] : [{ ip, linkAddress }]));
}

function readNeighbours(socket: RouteSocket, index: number) {
  const request = { type: RTM_GETNEIGH, flags: netlinkFlags.dump, body: Buffer.alloc(headerBytes) };
  return neighboursIn(socket.ask(request, { syscall: 'netlink', attempt: 'read the neighbours' }), index);
}

/** Of one interface, in messages of RTM_GETNEIGH. Throws LinuxError for what is none. */
export function neighboursIn(bodies: readonly Buffer[], index: number) {
  return bodies.flatMap((body) => {
    const attributes = attributesOf(body, headerBytes);
    const ip = attributes.get(NDA_DST);
    if (body.readInt32LE(4) !== index || ip === undefined) return [];
    const hasAnswered = (body.readUInt16LE(8) & NUD_VALID) !== 0;
    const linkAddress = attributes
      .get(NDA_LLADDR)
      ?.toString('hex')
      .replaceAll(/..(?!$)/g, '$&:');
    return [{ ip: ipText(ip), linkAddress: hasAnswered ? linkAddress : undefined }];
  });
}

/** struct ndmsg: family, padding, interface, state, flags, type. */
function neighbour({ family, bytes }: IpBytes, index: number, flags: number): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt8(family, 0);
  header.writeInt32LE(index, 4);
  header.writeUInt8(flags, 10);
  return Buffer.concat([header, attribute(NDA_DST, bytes)]);
}
