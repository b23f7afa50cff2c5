import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Demand, Translator } from '../../src/planner/demand.ts';
import { conntrackLingerSeconds } from '../../src/planner/kernel.ts';
import { plan } from '../../src/planner/plan.ts';
import { demand, inbound, outbound } from '../planner/demands.ts';
import { hundredPorts } from './experiment.ts';
import { loopbackIp, makeSite, openPlan, peerIp, type Place, podIp, portRangeOf } from './site.ts';

const reachable = (changes: Partial<Demand>): number =>
  plan(
    demand({
      ...changes,
      pod: { hostNetwork: false, declaredPorts: [], portRange: hundredPorts, kubeletReservesPorts: true },
    }),
  ).connections.reachable;

const translator = (changes: Partial<Translator>): Translator => ({
  type: 'NAT',
  name: 'node',
  addresses: 1,
  portsPerAddress: 80,
  sharedBy: 'Node',
  lingerSeconds: 120,
  idleTimeoutSeconds: undefined,
  ...changes,
});

const sourceNat = (rule: string): string =>
  `table ip proof { chain translate { type nat hook postrouting priority srcnat; oifname right meta l4proto tcp ${rule}; }; }`;

const listen = async (peer: Place): Promise<number> => peer.ask('bind', { ip: 0, port: 9000, backlog: 4096 });

const insertFailed = (router: Place): number =>
  [...router.run('conntrack', ['-S']).matchAll(/insert_failed=(\d+)/g)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );

describe('a node that masquerades with eighty ports', () => {
  const masquerade = sourceNat('masquerade to :1024-1103');

  it('has them for both of its pods together, and what finds none hangs', async () => {
    const each = reachable({
      scale: { pods: 2, podsPerNode: 2, surgePercent: 0 },
      outbound: [outbound({ connections: 90, path: [translator({})] })],
    });
    await using site = await makeSite({ routerRules: masquerade, extraAddresses: ['10.0.1.1'] });
    await listen(site.peer);
    const bothPods = openPlan({ sourceIps: [podIp, 0x0a00_0101] });
    const opened = await site.pod.ask('open', { plan: bothPods, count: 150, waitMs: 600 });
    expect(opened).toMatchObject({ established: 2 * each, errno: 0, refused: [] });
    expect(insertFailed(site.router)).toBeGreaterThanOrEqual(150 - 2 * each);
  });

  it('is not limited by its own ip_local_port_range', async () => {
    const few = { name: 'net.ipv4.ip_local_port_range', value: '40000 40009' };
    await using site = await makeSite({ routerRules: masquerade, routerSysctls: [few] });
    await listen(site.peer);
    const { established } = await site.pod.ask('open', { plan: openPlan(), count: 80 });
    expect(established).toBe(80);
  });
});

it('of two addresses that a translator chooses from by a hash, one pod has one to a destination', async () => {
  const hashed = sourceNat('snat to 10.1.1.1-10.1.1.2:1024-1063');
  await using site = await makeSite({ routerRules: hashed });
  for (const ip of ['10.1.1.1', '10.1.1.2']) site.router.run('ip', ['address', 'add', `${ip}/16`, 'dev', 'right']);
  await listen(site.peer);
  const { established } = await site.pod.ask('open', { plan: openPlan(), count: 100, waitMs: 600 });
  const path = [translator({ addresses: 1, portsPerAddress: 40 })];
  expect(established).toBe(reachable({ outbound: [outbound({ connections: 100, path })] }));
});

describe('a Service of three backends', () => {
  const clusterIp = 0x0a60_0001;
  const backends = [0, 1, 2].map((at) => ({ ip: peerIp + at, port: 9000 }));
  const services = `table ip proof { chain services { type nat hook prerouting priority dstnat; ip daddr 10.96.0.1 dnat to numgen inc mod 3 map { 0 : 100.64.0.1, 1 : 100.64.0.2, 2 : 100.64.0.3 }; }; }`;

  it.each([
    { by: 'its ClusterIP', targets: [{ ip: clusterIp, port: 9000 }], once: 1 },
    { by: 'its endpoints', targets: backends, once: 3 },
  ])('by $by has the ports of the pod $once times', async ({ targets, once }) => {
    await using site = await makeSite({ routerRules: services, sysctls: [portRangeOf(100)] });
    await listen(site.peer);
    const { established, errno } = await site.pod.ask('open', { plan: openPlan({ targets }), count: 400 });
    const flow = outbound({ connections: 400, destinationAddresses: targets.length, farEndAddresses: 3 });
    expect([established, errno]).toEqual([reachable({ outbound: [flow] }), 99]);
    expect(established).toBe(100 * once);
  });
});

it('a sidecar that dials from one loopback address has the ports of the pod once', async () => {
  const path = [translator({ type: 'Sidecar', name: 'proxy', portsPerAddress: undefined, sharedBy: 'Pod' })];
  await using site = await makeSite({ sysctls: [portRangeOf(100)] });
  await site.pod.ask('bind', { ip: 0, port: 8080, backlog: 4096 });
  const dials = openPlan({ targets: [{ ip: loopbackIp, port: 8080 }], sourceIps: [0x7f00_0006] });
  const { established, errno } = await site.pod.ask('open', { plan: dials, count: 150 });
  expect([established, errno]).toEqual([reachable({ inbound: [inbound({ connections: 150, path })] }), 99]);
});

/** Seconds that each entry has left, and its state. */
const entries = async (router: Place) =>
  [...(await router.ask('read', 'thread-self/net/nf_conntrack')).matchAll(/ tcp +6 (\d+) (\w+) /g)].map(
    ([, seconds, state]) => ({ seconds: Number(seconds), state }),
  );

describe('conntrack', () => {
  const count = 50;
  const track = sourceNat('masquerade');

  it.each([
    { rules: track, kept: count, fact: 'has an entry for each connection' },
    { rules: '', kept: 0, fact: 'has none where no rule asks for it' },
  ])('$fact', async ({ rules, kept }) => {
    await using site = await makeSite({ routerRules: rules });
    await listen(site.peer);
    await site.pod.ask('open', { plan: openPlan(), count });
    expect(await site.router.sysctl('net.netfilter.nf_conntrack_count')).toBe(String(kept));
  });

  it('keeps what is closed for the time that is planned', async () => {
    await using site = await makeSite({ routerRules: track });
    const accepting = await listen(site.peer);
    const { fds } = await site.pod.ask('open', { plan: openPlan(), count });
    const accepted = await site.peer.ask('accept', { fd: accepting, atMost: count });
    expect((await entries(site.router)).filter(({ seconds }) => seconds > 431_900)).toHaveLength(count);
    await site.pod.ask('close', fds);
    await delay(50);
    await site.peer.ask('close', accepted);
    await delay(100);
    const closed = (await entries(site.router)).filter(
      ({ state, seconds }) =>
        state === 'TIME_WAIT' && seconds <= conntrackLingerSeconds && seconds > conntrackLingerSeconds - 20,
    );
    expect(closed).toHaveLength(count);
  });

  it('has a maximum that only the host can set', async () => {
    await using site = await makeSite();
    const writing = site.pod.ask('write', { path: 'sys/net/netfilter/nf_conntrack_max', value: '1000' });
    await expect(writing).rejects.toMatchObject({ errno: -13 });
  });
});
