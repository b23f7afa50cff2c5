import type * as Koffi from 'koffi';

import { createRequire } from 'node:module';

// bits/socket.h; the same on x86-64 and arm64.
export const AF_NETLINK = 16;
export const SOCK_RAW_CLOEXEC = 3 | 0o2000000;

type Transfer = readonly [fd: number, bytes: Uint8Array, length: number, flags: number];
type Option = readonly [fd: number, level: number, option: number, value: BigInt64Array, length: number];

/** What netlink(7) takes of the C library. Negative results: see errno. */
export interface NetlinkCalls {
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly setsockopt: (...args: Option) => number;
  readonly send: (...args: Transfer) => number;
  readonly recv: (...args: Transfer) => number;
  readonly close: (fd: number) => number;
  readonly errno: () => number;
}

let loaded: NetlinkCalls | undefined;

// createRequire keeps a bundler from following the native module: it stays in node_modules beside the bundle.
export function netlinkCalls(): NetlinkCalls {
  if (loaded !== undefined) return loaded;
  const koffi: typeof Koffi = createRequire(import.meta.url)('koffi');
  const libc = koffi.load(null);
  loaded = {
    socket: libc.func('int socket(int, int, int)'),
    setsockopt: libc.func('int setsockopt(int, int, int, void *, uint32_t)'),
    send: libc.func('long send(int, void *, size_t, int)'),
    recv: libc.func('long recv(int, void *, size_t, int)'),
    close: libc.func('int close(int)'),
    errno: () => koffi.errno(),
  };
  return loaded;
}
