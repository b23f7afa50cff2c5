import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { reusedTimeWaitSeconds } from '../../src/planner/kernel.ts';
import { plan } from '../../src/planner/plan.ts';
import { demand, outbound } from '../planner/demands.ts';
import { loopbackIp, makeSite, openPlan, type Place, portRangeOf } from './site.ts';

const ports = 80;
const closed = 60;
const portRange = { low: 40_000, high: 40_000 + ports - 1 };
const listener = { ip: 0, port: 9000, backlog: 4096 };

/** What the planner leaves of the ports when `closed` connections were closed within the 61 s. */
const leftAfter = (closedBy: 'Pod' | 'Peer'): number =>
  plan(
    demand({
      pod: { hostNetwork: false, declaredPorts: [], portRange, kubeletReservesPorts: true },
      outbound: [outbound({ connections: 20, closesPerSecond: closed / 61, closedBy })],
    }),
  ).connections.reachable;
const held = leftAfter('Pod');
const none = leftAfter('Peer');

/** For a FIN that is on its way: at once, but for a busy machine. */
const fliesMs = 50;

type First = 'pod' | 'peer' | 'reset by the pod';

const openAndEnd = async (pod: Place, peer: Place, first: First): Promise<void> => {
  const accepting = await peer.ask('bind', listener);
  const { fds } = await pod.ask('open', { plan: openPlan(), count: closed });
  const accepted = await peer.ask('accept', { fd: accepting, atMost: closed });
  expect([fds.length, accepted.length]).toEqual([closed, closed]);
  if (first === 'reset by the pod') await pod.ask('reset', fds);
  if (first === 'pod') await pod.ask('close', fds);
  await delay(fliesMs);
  await peer.ask('close', accepted);
  await pod.ask('close', first === 'peer' ? fds : []);
};

const tcp = (name: string, value: number) => ({ name: `net.ipv4.tcp_${name}`, value: String(value) });
// tcp_tw_reuse_delay is there from 6.14, in milliseconds.
const reuseMs = 1000 * reusedTimeWaitSeconds({ kernelRelease: '6.18' });

describe(`with ${ports} ports, of ${closed} connections that were just closed`, () => {
  it.each([
    { fact: 'all keep their port, where the pod closes first', again: held, first: 'pod' },
    { fact: 'so do they with tcp_tw_reuse 0', again: held, first: 'pod', sysctls: [tcp('tw_reuse', 0)] },
    { fact: 'tcp_fin_timeout frees none', again: held, first: 'pod', sysctls: [tcp('fin_timeout', 1)], waitMs: 2500 },
    {
      fact: 'tcp_tw_reuse 1 frees all, after tcp_tw_reuse_delay',
      again: ports,
      first: 'pod',
      sysctls: [tcp('tw_reuse', 1)],
      waitMs: reuseMs + 300,
    },
    {
      fact: 'it frees none before a longer one',
      again: held,
      first: 'pod',
      sysctls: [tcp('tw_reuse', 1), tcp('tw_reuse_delay', 5000)],
      waitMs: reuseMs + 300,
    },
    {
      fact: 'it frees none where the far end has no timestamps',
      again: held,
      first: 'pod',
      sysctls: [tcp('tw_reuse', 1)],
      peerSysctls: [tcp('timestamps', 0)],
      waitMs: reuseMs + 300,
    },
    { fact: 'none keeps its port, where the peer closes first', again: none, first: 'peer' },
    { fact: 'none keeps its port, where the pod resets', again: none, first: 'reset by the pod' },
  ] as const)('$fact', async ({ again, first, ...shape }) => {
    await using site = await makeSite(
      shape.sysctls === undefined
        ? { sysctls: [portRangeOf(ports)] }
        : {
            sysctls: [portRangeOf(ports), ...shape.sysctls],
            peerSysctls: 'peerSysctls' in shape ? shape.peerSysctls : [],
          },
    );
    await openAndEnd(site.pod, site.peer, first);
    await delay('waitMs' in shape ? shape.waitMs : 100);
    expect(await site.pod.ask('open', { plan: openPlan(), count: ports })).toMatchObject({ established: again });
  });

  it('those above tcp_max_tw_buckets keep none, without an error', async () => {
    const buckets = 25;
    await using site = await makeSite({ sysctls: [portRangeOf(ports), tcp('max_tw_buckets', buckets)] });
    await openAndEnd(site.pod, site.peer, 'pod');
    await delay(100);
    const counters = await site.pod.counters();
    expect(counters.get('TCP.tw')).toBe(buckets);
    expect(counters.get('TcpExt.TCPTimeWaitOverflow')).toBe(closed - buckets);
    const again = await site.pod.ask('open', { plan: openPlan(), count: ports });
    expect(again.established).toBe(ports - buckets);
  });

  it('tcp_tw_reuse 2, the default, frees all on the loopback alone', async () => {
    await using site = await makeSite({ sysctls: [portRangeOf(ports)] });
    const { pod } = site;
    const accepting = await pod.ask('bind', listener);
    const toSelf = openPlan({ targets: [{ ip: loopbackIp, port: 9000 }] });
    const { fds } = await pod.ask('open', { plan: toSelf, count: closed });
    const accepted = await pod.ask('accept', { fd: accepting, atMost: closed });
    await pod.ask('close', fds);
    await pod.ask('close', accepted);
    await delay(reuseMs + 300);
    expect(await pod.ask('open', { plan: toSelf, count: ports })).toMatchObject({ established: ports });
  });
});

it('what the pod accepted and closed first keeps no port from its clients', async () => {
  await using site = await makeSite({ peerSysctls: [portRangeOf(ports)] });
  const { pod, peer } = site;
  const accepting = await pod.ask('bind', listener);
  const toPod = openPlan({ targets: [{ ip: 0x0a00_0002, port: 9000 }] });
  const { fds } = await peer.ask('open', { plan: toPod, count: closed });
  const accepted = await pod.ask('accept', { fd: accepting, atMost: closed });
  await pod.ask('close', accepted);
  await delay(fliesMs);
  await peer.ask('close', fds);
  await expect.poll(async () => (await pod.counters()).get('TCP.tw')).toBe(closed);
  expect(await peer.ask('open', { plan: toPod, count: ports })).toMatchObject({ established: ports });
});
