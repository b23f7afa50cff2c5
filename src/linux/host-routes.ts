import { hasDone } from './interfaces.ts';
import { ipBytes } from './ip-bytes.ts';
import { LinuxError } from './linux-error.ts';
import { attribute, attributesOf, netlinkFlags, openRouteSocket, type RouteSocket, uint32 } from './netlink.ts';

/** The node's routes to single addresses of a pod, in the calling thread's network namespace. All throw LinuxError. */

// linux/rtnetlink.h
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_OIF = 4;
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;
const headerBytes = 12;
// errno(3)
const ESRCH = 3;
const EEXIST = 17;

/**
 * Routes each to the interface by which `besideIp` is reached, which has to be of the same family. Gives those that are
 * routed elsewhere already, so somebody else's; they stay as they are.
 */
export function addHostRoutes(besideIp: string, ips: readonly string[]): readonly string[] {
  using socket = openRouteSocket();
  const interfaceIndex = outgoingInterface(socket, besideIp);
  return ips.filter((ip) => {
    const flags = netlinkFlags.create | netlinkFlags.exclusive;
    const request = { type: RTM_NEWROUTE, flags, body: hostRoute(ip, interfaceIndex) };
    const call = { syscall: 'netlink', attempt: `route ${ip} to the pod` };
    const isNew = hasDone(EEXIST, () => void socket.ask(request, call));
    return !isNew && outgoingInterface(socket, ip) !== interfaceIndex;
  });
}

/** Those that lead where `besideIp` is reached; what is not there is no error. */
export function removeHostRoutes(besideIp: string, ips: readonly string[]): void {
  using socket = openRouteSocket();
  const interfaceIndex = outgoingInterface(socket, besideIp);
  for (const ip of ips) {
    const request = { type: RTM_DELROUTE, flags: 0, body: hostRoute(ip, interfaceIndex) };
    const call = { syscall: 'netlink', attempt: `take away the route to ${ip}` };
    hasDone(ESRCH, () => void socket.ask(request, call));
  }
}

function outgoingInterface(socket: RouteSocket, ip: string): number {
  const { family, bytes } = ipBytes(ip);
  const header = Buffer.alloc(headerBytes);
  header.writeUInt8(family, 0);
  header.writeUInt8(bytes.length * 8, 1);
  const request = { type: RTM_GETROUTE, flags: 0, body: Buffer.concat([header, attribute(RTA_DST, bytes)]) };
  const [route] = socket.ask(request, { syscall: 'netlink', attempt: `find the way to ${ip}` });
  const index = route === undefined ? undefined : attributesOf(route, headerBytes).get(RTA_OIF)?.readUInt32LE();
  if (index !== undefined) return index;
  throw new LinuxError({ kind: 'NotFound', syscall: 'netlink', message: `there is no way to ${ip}` });
}

/** struct rtmsg: family, length of destination and source, TOS, table, protocol, scope, type, flags. */
function hostRoute(ip: string, interfaceIndex: number): Buffer {
  const { family, bytes } = ipBytes(ip);
  const header = Buffer.alloc(headerBytes);
  header.set([family, bytes.length * 8, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_LINK, RTN_UNICAST]);
  return Buffer.concat([header, attribute(RTA_DST, bytes), attribute(RTA_OIF, uint32(interfaceIndex))]);
}
