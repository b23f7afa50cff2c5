import { setTimeout as delay } from 'node:timers/promises';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bindBucketBytes, queuedPages, timeWaitBytes } from '../../src/planner/kernel.ts';
import { plan } from '../../src/planner/plan.ts';
import { demand, outbound } from '../planner/demands.ts';
import { makeSite, openPlan, type Place, type Site } from './site.ts';

const pageBytes = 4096;

const connected = async ({ pod, peer }: Site, count: number) => {
  const accepting = await peer.ask('bind', { ip: 0, port: 9000, backlog: 4096 });
  const { fds } = await pod.ask('open', { plan: openPlan(), count });
  const accepted = await peer.ask('accept', { fd: accepting, atMost: count });
  expect([fds.length, accepted.length]).toEqual([count, count]);
  return { fds, accepted };
};

/** /sys/kernel/slab has merged caches under the name of each: objects of the cache, and bytes of an object. */
const slab = (cache: string, field: 'objects' | 'slab_size'): number =>
  Number.parseInt(readFileSync(`/sys/kernel/slab/${cache}/${field}`, 'utf8'), 10);

const closedBytes = (): number =>
  slab('tw_sock_TCP', 'objects') * slab('tw_sock_TCP', 'slab_size') +
  slab('tcp_bind_bucket', 'objects') * slab('tcp_bind_bucket', 'slab_size');

it('objects of the kernel are as large as the planner reckons', () => {
  expect(slab('tw_sock_TCP', 'slab_size')).toBe(timeWaitBytes);
  expect(slab('tcp_bind_bucket', 'slab_size') + slab('tcp_bind2_bucket', 'slab_size')).toBe(bindBucketBytes);
});

const planned = (closesPerSecond: number): number =>
  plan(demand({ outbound: [outbound({ connections: 1, closesPerSecond })] })).kernelMemoryBytes;

// Objects of the whole machine: what other programs close meanwhile is in it.
it(
  'what the pod closed first takes what the planner reckons, its bind buckets too, within a twentieth',
  { retry: 3 },
  async () => {
    const count = 4000;
    const predicted = planned(count / 61) - planned(0);
    await using site = await makeSite();
    await delay(500);
    const before = closedBytes();
    const { fds, accepted } = await connected(site, count);
    await site.pod.ask('close', fds);
    await delay(100);
    await site.peer.ask('close', accepted);
    await delay(1000);
    expect((await site.pod.counters()).get('TCP.tw')).toBe(count);
    expect(Math.abs(closedBytes() - before - predicted)).toBeLessThan(0.05 * predicted);
  },
);

/** Pages that the sockets of the namespace hold: ss(8) says what is used (r) and what is allocated beside it (f). */
const heldPages = ({ run }: Place): readonly number[] =>
  [...run('ss', ['-tnmH', 'state', 'established']).matchAll(/skmem:\(r(\d+),.*?,f(\d+),/g)].map(
    ([, used, spare]) => (Number(used) + Number(spare)) / pageBytes,
  );

const sumOf = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);

describe('bytes that nobody reads', () => {
  it.each([0, 100, 1024, 4000, 8000, 16_000, 65_536].map((bytes) => ({ bytes, pages: queuedPages(bytes) })))(
    '$bytes take $pages pages of tcp_mem',
    async ({ bytes, pages }) => {
      await using site = await makeSite();
      const { fds } = await connected(site, 10);
      await site.pod.ask('send', { fds, bytes });
      // Segments that come apart under load take a page more now and then.
      const total = pages * fds.length;
      await expect.poll(() => Math.abs(sumOf(heldPages(site.peer)) - total)).toBeLessThanOrEqual(0.05 * total);
    },
  );

  it('1,024 take no more when they come 64 at a time', async () => {
    await using site = await makeSite();
    const { fds } = await connected(site, 10);
    for (let sent = 0; sent < 1024; sent += 64) await site.pod.ask('send', { fds, bytes: 64 });
    await expect.poll(() => heldPages(site.peer)).toEqual(fds.map(() => queuedPages(1024)));
  });
});
