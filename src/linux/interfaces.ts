import { AF_INET6, ipBytes, ipText } from './ip-bytes.ts';
import { LinuxError } from './linux-error.ts';
import {
  attribute,
  attributesOf,
  netlinkFlags,
  openRouteSocket,
  type RouteSocket,
  uint32,
  uint32Of,
} from './netlink.ts';

/** Addresses of an interface in the calling thread's network namespace. All throw LinuxError. */

export interface InterfaceAddress {
  readonly interfaceName: string;
  readonly ip: string;
  readonly prefixLength: number;
  /** The address of somebody else, as the kernel found out (IPv6 alone looks). */
  readonly isDuplicate: boolean;
}

// linux/rtnetlink.h
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_GETLINK = 18;
const RT_SCOPE_UNIVERSE = 0;
// linux/if_link.h, linux/if_addr.h
const IFLA_IFNAME = 3;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x02;
const IFA_F_DADFAILED = 0x08;
const addressHeaderBytes = 8;
const linkHeaderBytes = 16;
const forEver = 0xffff_ffff;
// errno(3)
const EEXIST = 17;
const EADDRNOTAVAIL = 99;

/** Those of global scope, of all interfaces. */
export function listAddresses(): readonly InterfaceAddress[] {
  using socket = openRouteSocket();
  const names = interfaceNames(socket);
  const call = { syscall: 'netlink', attempt: 'list the addresses' };
  const request = { type: RTM_GETADDR, flags: netlinkFlags.dump, body: Buffer.alloc(addressHeaderBytes) };
  return addressesIn(socket.ask(request, call), names);
}

/** Of messages of RTM_GETADDR. Throws LinuxError for what is none. */
export function addressesIn(
  bodies: readonly Buffer[],
  names: ReadonlyMap<number, string>,
): readonly InterfaceAddress[] {
  return bodies.flatMap((body) => {
    const attributes = attributesOf(body, addressHeaderBytes);
    const address = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
    const interfaceName = names.get(body.readUInt32LE(4));
    if (interfaceName === undefined || address === undefined || body.readUInt8(3) !== RT_SCOPE_UNIVERSE) return [];
    const flags = uint32Of(attributes.get(IFA_FLAGS)) ?? body.readUInt8(2);
    const isDuplicate = (flags & IFA_F_DADFAILED) !== 0;
    return [{ interfaceName, ip: ipText(address), prefixLength: body.readUInt8(1), isDuplicate }];
  });
}

/**
 * Adds each as a host address, so that it brings no route: the source of a connection that is not bound stays what it was.
 * IPv6 prefers the longest match among source addresses (RFC 6724, rule 8), whatever the route says; an address that is
 * deprecated from its start is only used by who binds to it (rule 3). Gives those that were not there.
 */
export function addAddresses(interfaceName: string, ips: readonly string[]): readonly string[] {
  using socket = openRouteSocket();
  const index = interfaceIndex(socket, interfaceName);
  return ips.filter((ip) => {
    const request = {
      type: RTM_NEWADDR,
      flags: netlinkFlags.create | netlinkFlags.exclusive,
      body: hostAddress(ip, index),
    };
    return hasDone(EEXIST, () => {
      socket.ask(request, { syscall: 'netlink', attempt: `add ${ip} to ${interfaceName}` });
    });
  });
}

/** Gives those that were there. */
export function removeAddresses(interfaceName: string, ips: readonly string[]): readonly string[] {
  using socket = openRouteSocket();
  const index = interfaceIndex(socket, interfaceName);
  return ips.filter((ip) => {
    const request = { type: RTM_DELADDR, flags: 0, body: hostAddress(ip, index) };
    return hasDone(EADDRNOTAVAIL, () => {
      socket.ask(request, { syscall: 'netlink', attempt: `remove ${ip} from ${interfaceName}` });
    });
  });
}

function interfaceNames(socket: RouteSocket): ReadonlyMap<number, string> {
  const request = { type: RTM_GETLINK, flags: netlinkFlags.dump, body: Buffer.alloc(linkHeaderBytes) };
  return namesIn(socket.ask(request, { syscall: 'netlink', attempt: 'list the interfaces' }));
}

/** By index, of messages of RTM_GETLINK. Throws LinuxError for what is none. */
export function namesIn(bodies: readonly Buffer[]): ReadonlyMap<number, string> {
  return new Map(
    bodies.map((body) => {
      const name = attributesOf(body, linkHeaderBytes).get(IFLA_IFNAME)?.toString().replace('\0', '') ?? '';
      return [body.readUInt32LE(4), name];
    }),
  );
}

export function interfaceIndex(socket: RouteSocket, name: string): number {
  const call = { syscall: 'netlink', attempt: `find the interface ${name}`, kinds: { ENODEV: 'NotFound' } } as const;
  const named = attribute(IFLA_IFNAME, Buffer.from(`${name}\0`));
  const request = { type: RTM_GETLINK, flags: 0, body: Buffer.concat([Buffer.alloc(linkHeaderBytes), named]) };
  const [index] = namesIn(socket.ask(request, call)).keys();
  if (index !== undefined) return index;
  throw new LinuxError({ kind: 'NotFound', syscall: 'netlink', message: `there is no interface ${name}` });
}

/** False where it had been done already, which this errno tells. */
export function hasDone(already: number, attempt: () => void): boolean {
  try {
    attempt();
    return true;
  } catch (error) {
    if (error instanceof LinuxError && error.errno === already) return false;
    throw error;
  }
}

/** struct ifaddrmsg: family, prefix length, flags, scope (0: global), interface. */
function hostAddress(ip: string, index: number): Buffer {
  const { family, bytes } = ipBytes(ip);
  const header = Buffer.from([family, bytes.length * 8, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32LE(index, 4);
  const base = [header, attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes)];
  if (family !== AF_INET6) return Buffer.concat(base);
  // struct ifa_cacheinfo: preferred, valid, created, changed.
  const deprecated = Buffer.concat([uint32(0), uint32(forEver), uint32(0), uint32(0)]);
  // Who else has it is asked before (neighbours.ts): the kernel's own look would take a second, in which it cannot be bound.
  return Buffer.concat([...base, attribute(IFA_CACHEINFO, deprecated), attribute(IFA_FLAGS, uint32(IFA_F_NODAD))]);
}
