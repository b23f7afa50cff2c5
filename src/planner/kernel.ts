import type { NodeFacts, PortRange } from './demand.ts';
import { pages, type Pages } from './quantities.ts';

/**
 * Numbers about Linux. "measured" means on kernel 6.18 in network namespaces, see docs/kernel-limits.md.
 */

/** A new network namespace starts here, whatever the node has (ip-sysctl.rst, ip_local_port_range). */
export const defaultPortRange: PortRange = { low: 32768, high: 60999 };

/** How far the range is widened, in order: below 10240 live most registered services, below 1024 privileged ports. */
export const widerPortRanges: readonly PortRange[] = [
  { low: 10240, high: 65535 },
  { low: 1024, high: 65535 },
];

/** Ports of one peer address by the protocol: a 16-bit field without 0 (RFC 9293). */
export const portsOfAnAddress = 65535;

/** A Linux peer with default settings: 60999 − 32768 + 1. */
export const defaultClientPorts = 28232;

/**
 * connect() looks for a free port of one parity first and slows down by a hundredfold past half of the range (measured:
 * 32,000/s up to 32,248 of 64,512, then 500/s and less). With IP_LOCAL_PORT_RANGE on the socket there is no cliff.
 */
const cliffShare = 0.5;
const fullShare = 0.95;

/** IP_LOCAL_PORT_RANGE (ip(7)) is from 6.3, without the cliff from 6.8. A release that nobody knows is taken as newer. */
export const fastShareFor = (picks: 'Kernel' | 'Program' | 'Spread', node: NodeFacts): number => {
  if (picks === 'Kernel') return cliffShare;
  return picks === 'Program' && isOlderThan(node, 6, 8) ? cliffShare : fullShare;
};

const isOlderThan = ({ kernelRelease }: NodeFacts, major: number, minor: number): boolean => {
  if (kernelRelease === undefined) return false;
  const [ownMajor = 0, ownMinor = 0] = kernelRelease.split('.').map((part) => Number.parseInt(part, 10));
  return ownMajor < major || (ownMajor === major && ownMinor < minor);
};

/** TIME_WAIT holds a tuple for 60 s (TCP_TIMEWAIT_LEN, include/net/tcp.h); measured 61 s until the port is free again. */
export const timeWaitSeconds = 61;

/** With tcp_tw_reuse 1 and timestamps on both ends: tcp_tw_reuse_delay, 1 s, from 6.14; 2 s to be safe before. */
export const reusedTimeWaitSeconds = (node: NodeFacts): number =>
  node.kernelRelease === undefined || isOlderThan(node, 6, 14) ? 2 : 1;

/** net.core.somaxconn of a new namespace (ip-sysctl.rst; 128 before 5.4). */
export const defaultSomaxconn = 4096;

/** tcp_max_tw_buckets on a machine of 4 GiB, the smallest that is planned for: half of the established hash. */
export const smallestMaxTwBuckets = 16384;

/** The largest value of a sysctl that is an int. */
export const largestInteger = 2147483647;

/** fs.nr_open of the kernel (Documentation/admin-guide/sysctl/fs.rst); distributions only raise it. */
export const defaultNrOpen = 1048576;

/** RLIMIT_NOFILE that containerd 2 hands to containers where systemd's defaults hold. */
export const defaultNofile = { soft: 1024, hard: 524288 } as const;

/** nf_conntrack_tcp_timeout_time_wait: how long a closed connection keeps its entry (nf_conntrack-sysctl.rst). */
export const conntrackLingerSeconds = 120;

/**
 * One idle connection, one side, in bytes (measured at 2 million pairs): TCP socket with slack 2521, socket inode 862,
 * dentry 192, file 192, rest 56, and 192 for epoll: 4015, "4.0 KB".
 */
export const socketBytes = 2521 + 862 + 192 + 192 + 56 + 192;

/** Two bind buckets of 128 B per distinct (source address, port) of a client; TIME_WAIT keeps them too (measured). */
export const bindBucketBytes = 256;

/** A socket in TIME_WAIT (measured). */
export const timeWaitBytes = 256;

const pageBytes = 4096;

/**
 * Pages of tcp_mem for bytes queued on one connection: the payload with the overhead of its buffers, a sixteenth
 * (measured: 1 KB takes 1 page, 64 KB 17).
 */
export const queuedPages = (bytes: number): Pages => pages((bytes * 17) / 16 / pageBytes);

/** The handshake of a distant client, assumed for the SYN queue. */
export const assumedHandshakeSeconds = 0.3;
