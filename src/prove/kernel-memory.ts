import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Slab caches that a connection is made of; SLUB may have merged one with another, which then counts for both. */
const connectionCaches: ReadonlySet<string> = new Set([
  'TCP',
  'sock_inode_cache',
  'dentry',
  'filp',
  'eventpoll_epi',
  'eventpoll_pwq',
  'ep_head',
  'tcp_bind_bucket',
  'tcp_bind2_bucket',
  'request_sock_TCP',
]);

const slabinfo = '/proc/slabinfo';

/**
 * slabinfo(5): name, active objects, objects, object size, objects per slab, pages per slab. Bytes are the active objects'
 * part of their slabs, so with what a slab has to spare: a TCP socket of 2,368 B takes 2,521.
 */
const slabBytes = (text: string): ReadonlyMap<string, number> => {
  const rows = text.matchAll(/^(\S+) +(\d+) +\d+ +\d+ +(\d+) +(\d+)/gm);
  return new Map(
    [...rows].map(([, name = '', active, perSlab, pages]) => [
      name,
      (Number(active) * Number(pages) * 4096) / Number(perSlab),
    ]),
  );
};

/** Bytes of slab in the caches of connections; of all slab where slabinfo cannot be read. */
export const readConnectionSlabBytes = (): number => {
  try {
    let bytes = 0;
    for (const [name, taken] of slabBytes(readFileSync(slabinfo, 'utf8'))) {
      if (connectionCaches.has(name)) bytes += taken;
    }
    return bytes;
  } catch {
    return 1024 * Number(/^Slab:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0);
  }
};

/** The kernel frees sockets some time after they are closed: waits until that is over, at most two seconds. */
export const settledSlabBytes = async (signal: AbortSignal): Promise<number> => {
  let previous = readConnectionSlabBytes();
  for (let waited = 0; waited < 10; waited += 1) {
    await delay(200, undefined, { signal });
    const current = readConnectionSlabBytes();
    if (current >= previous) return current;
    previous = current;
  }
  return previous;
};
