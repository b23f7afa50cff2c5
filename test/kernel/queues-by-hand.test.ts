import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { plan } from '../../src/planner/plan.ts';
import { demand, inbound } from '../planner/demands.ts';
import { makeSite, openPlan, type Place, podIp, type Site } from './site.ts';

const toPod = openPlan({ targets: [{ ip: podIp, port: 9000 }] });

/** What the planner says that a queue of the pod holds. */
const capacityOf = (limit: 'AcceptQueue' | 'SynQueue', listenBacklog: number, listenSockets = 1): number =>
  plan(demand({ inbound: [inbound({ opensPerSecond: 1, listenBacklog, listenSockets })] })).limits.find(
    (found) => found.limit === limit,
  )?.capacity ?? 0;

const listening = async (pod: Place, backlog: number, sockets = 1): Promise<readonly number[]> => {
  const fds: number[] = [];
  for (let opened = 0; opened < sockets; opened += 1)
    fds.push(await pod.ask('bind', { ip: 0, port: 9000, backlog, option: 'ReusePort' }));
  return fds;
};

const drops = async (place: Place) => (await place.counters()).get('TcpExt.ListenDrops');

describe('connections that nobody accepts', () => {
  it.each([
    { backlog: 9, sockets: 1 },
    { backlog: 9, sockets: 4 },
    { backlog: 0, sockets: 1 },
  ])(
    'are as many as planned for a backlog of $backlog on $sockets SO_REUSEPORT sockets',
    async ({ backlog, sockets }) => {
      const queued = capacityOf('AcceptQueue', backlog, sockets);
      await using site = await makeSite();
      const fds = await listening(site.pod, backlog, sockets);
      // More than the kernel's hash needs to fill every socket's queue.
      const { established } = await site.peer.ask('open', { plan: toPod, count: 60 * sockets, waitMs: 300 });
      expect(established).toBe(queued);
      const each = [];
      for (const fd of fds) each.push((await site.pod.ask('accept', { fd, atMost: 100 })).length);
      expect(each).toEqual(fds.map(() => queued / sockets));
    },
  );

  it('beyond them SYNs are dropped and counted in that namespace alone, also when they are sent again', async () => {
    await using site = await makeSite();
    await listening(site.pod, 9);
    await site.peer.ask('open', { plan: toPod, count: 15, waitMs: 300 });
    expect([await drops(site.pod), await drops(site.peer)]).toEqual([15 - capacityOf('AcceptQueue', 9), 0]);
    await expect.poll(async () => drops(site.pod), { timeout: 3000 }).toBe(2 * (15 - capacityOf('AcceptQueue', 9)));
  });

  it('are not told so with tcp_abort_on_overflow either', async () => {
    await using site = await makeSite({ sysctls: [{ name: 'net.ipv4.tcp_abort_on_overflow', value: '1' }] });
    await listening(site.pod, 9);
    const { established, refused } = await site.peer.ask('open', { plan: toPod, count: 15, waitMs: 300 });
    expect({ established, refused }).toEqual({ established: capacityOf('AcceptQueue', 9), refused: [] });
  });
});

/** The peer never hears the answer of the pod, so its connections stay half open there. */
const withoutAnswers = `table ip proof { chain input { type filter hook input priority 0; tcp flags & (syn|ack) == (syn|ack) drop; }; }`;

const halfOpen = async ({ pod, peer }: Site, count: number): Promise<number> => {
  peer.run('nft', ['-f', '-'], withoutAnswers);
  await peer.ask('open', { plan: toPod, count, waitMs: 100 });
  const rows = (await pod.ask('read', 'thread-self/net/tcp')).split('\n');
  // Column 4 is the state: 03 is SYN_RECV (net/tcp_states.h).
  return rows.filter((row) => row.trim().split(/\s+/)[3] === '03').length;
};

const syn = (name: string, value: number) => ({ name: `net.ipv4.tcp_${name}`, value: String(value) });

describe('half open connections', () => {
  it('are kept as many as planned, and the others are answered with cookies', async () => {
    await using site = await makeSite();
    await listening(site.pod, 20);
    expect(await halfOpen(site, 50)).toBe(capacityOf('SynQueue', 20));
    const counters = await site.pod.counters();
    expect(counters.get('TcpExt.TCPReqQFullDoCookies')).toBe(50 - capacityOf('SynQueue', 20));
    expect(counters.get('TcpExt.ListenDrops')).toBe(0);
  });

  it.each([
    { fact: 'by the backlog', maximum: 1000, kept: capacityOf('SynQueue', 20) },
    { fact: 'by ¾ of tcp_max_syn_backlog', maximum: 16, kept: 12 + 1 },
  ])('without cookies they are bounded $fact: $kept', async ({ maximum, kept }) => {
    await using site = await makeSite({ sysctls: [syn('syncookies', 0), syn('max_syn_backlog', maximum)] });
    await listening(site.pod, 20);
    expect(await halfOpen(site, 50)).toBe(kept);
  });
});

/** A handshake whose last segment comes when the accept queue is full, as it is with a distant client. */
describe('with a longer round trip, an ACK that finds the accept queue full', () => {
  const lateAcks = `table ip proof { chain output { type filter hook output priority 0; tcp sport 1000-1007 tcp flags & (syn|ack) == ack drop; }; }`;

  it.each([
    { abort: 0, fact: 'is dropped: the client goes on to think that it is connected', reset: 0 },
    { abort: 1, fact: 'is answered with RST by tcp_abort_on_overflow', reset: 8 },
  ])('$fact', async ({ abort, reset }) => {
    await using site = await makeSite({ sysctls: [syn('abort_on_overflow', abort)] });
    const [fd = -1] = await listening(site.pod, 9);
    site.peer.run('nft', ['-f', '-'], lateAcks);
    const late = await site.peer.ask('open', {
      plan: { ...toPod, sourceIps: [0x0a00_0001], source: { kind: 'Ports', low: 1000, count: 8 } },
      count: 8,
    });
    const others = await site.peer.ask('open', { plan: toPod, count: 10 });
    expect([late.established, others.established]).toEqual([8, capacityOf('AcceptQueue', 9)]);
    site.peer.run('nft', ['delete', 'table', 'ip', 'proof']);
    await delay(1500);
    const counters = await site.pod.counters();
    expect(counters.get('TcpExt.ListenOverflows')).toBeGreaterThanOrEqual(8);
    expect(counters.get('Tcp.OutRsts')).toBe(reset);
    expect(await site.pod.ask('accept', { fd, atMost: 100 })).toHaveLength(10);
  });
});
