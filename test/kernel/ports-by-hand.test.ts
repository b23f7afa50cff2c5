import { describe, expect, it } from 'vitest';
import type { Demand } from '../../src/planner/demand.ts';
import { defaultPortRange, defaultSomaxconn, fastShareFor } from '../../src/planner/kernel.ts';
import { plan } from '../../src/planner/plan.ts';
import { ipText } from '../../src/prove/topology-text.ts';
import { demand, outbound } from '../planner/demands.ts';
import { hundredPorts } from './experiment.ts';
import { loopbackIp, makeSite, openPlan, peerIp, podIp, portRangeOf, type Site } from './site.ts';

const EADDRNOTAVAIL = 99;
const EINVAL = 22;
const inRange = 40_050;

const reachable = (changes: Partial<Demand>, pod: Partial<Demand['pod']> = {}): number =>
  plan(
    demand({
      ...changes,
      pod: { hostNetwork: false, declaredPorts: [], portRange: hundredPorts, kubeletReservesPorts: true, ...pod },
    }),
  ).connections.reachable;

const toOne = [outbound({ connections: 150 })];
const allPorts = reachable({ outbound: toOne });
const oneTaken = reachable({ outbound: toOne }, { declaredPorts: [inRange] });

const openAll = async ({ pod, peer }: Site, opening = openPlan()): Promise<{ count: number; errno: number }> => {
  await peer.ask('bind', { ip: 0, port: 9000, backlog: 4096 });
  const { established, errno } = await pod.ask('open', { plan: opening, count: 150 });
  return { count: established, errno };
};

describe('of a hundred ports, connect() without bind has', () => {
  it.each([
    { left: allPorts, fact: 'all where nothing else is bound', take: [] },
    {
      left: oneTaken,
      fact: 'not the port of a listener on another local address',
      take: [{ ip: loopbackIp, port: inRange, backlog: 10 }],
    },
    {
      left: oneTaken,
      fact: 'not the port of a socket that is bound and no more',
      take: [{ ip: podIp, port: inRange }],
    },
    { left: oneTaken, fact: 'not the port that bind(address, 0) got', take: [{ ip: podIp, port: 0 }] },
    {
      left: oneTaken,
      fact: 'not that port with SO_REUSEADDR either',
      take: [{ ip: podIp, port: 0, option: 'ReuseAddress' as const }],
    },
    { left: allPorts, fact: 'all beside a listener outside the range', take: [{ ip: 0, port: 39_999, backlog: 10 }] },
  ])('$left: $fact', async ({ left, take }) => {
    await using site = await makeSite({ sysctls: [portRangeOf(100)] });
    for (const wanted of take) expect(await site.pod.ask('bind', wanted)).toBeGreaterThan(0);
    expect(await openAll(site)).toEqual({ count: left, errno: EADDRNOTAVAIL });
  });

  it('all, though each of them has a connection to another destination', async () => {
    await using site = await makeSite({ sysctls: [portRangeOf(100)] });
    await site.peer.ask('bind', { ip: 0, port: 9001, backlog: 4096 });
    const other = openPlan({ targets: [{ ip: peerIp, port: 9001 }] });
    expect(await site.pod.ask('open', { plan: other, count: 150 })).toMatchObject({ established: allPorts });
    expect(await openAll(site)).toEqual({ count: allPorts, errno: EADDRNOTAVAIL });
  });
});

describe('a pod with eight addresses', () => {
  const extraAddresses = Array.from({ length: 7 }, (_, at) => `10.0.1.${at + 1}`);

  it('has the ports of one, the primary, where the program does not bind', async () => {
    await using site = await makeSite({ sysctls: [portRangeOf(100)], extraAddresses });
    await site.peer.ask('bind', { ip: 0, port: 9000, backlog: 4096 });
    const { fds, established } = await site.pod.ask('open', { plan: openPlan(), count: 150 });
    expect(established).toBe(reachable({ outbound: toOne }));
    const used = new Set((await site.pod.ask('localEnds', fds)).map(({ ip }) => ipText(ip)));
    expect([...used]).toEqual([ipText(podIp)]);
  });
});

describe('the search of connect() for a free port', () => {
  const fast = 100 * fastShareFor('Kernel', {});

  it.each([
    { whose: 'by the choice of the kernel', range: undefined, kinds: 1 },
    { whose: 'with IP_LOCAL_PORT_RANGE', range: [40_000, 40_099], kinds: 2 },
  ] as const)('$whose takes ports of $kinds parities in the half that is fast', async ({ range, kinds }) => {
    await using site = await makeSite({ sysctls: [portRangeOf(100)] });
    await site.peer.ask('bind', { ip: 0, port: 9000, backlog: 4096 });
    const opening = openPlan({ source: { kind: 'Kernel', range } });
    const { fds } = await site.pod.ask('open', { plan: opening, count: fast });
    const parities = new Set((await site.pod.ask('localEnds', fds)).map(({ port }) => port % 2));
    expect(parities.size).toBe(kinds);
    expect(fds).toHaveLength(fast);
  });
});

describe('the option IP_LOCAL_PORT_RANGE', () => {
  it.each([
    { fact: 'narrows the range', range: [40_010, 40_029], left: 20 },
    { fact: 'is passed over at its end that is outside the range', range: [39_000, 40_049], left: 50 },
    { fact: 'is passed over when all of it is outside', range: [30_000, 30_999], left: 100 },
  ] as const)('$fact: $left ports', async ({ range, left }) => {
    await using site = await makeSite({ sysctls: [portRangeOf(100)] });
    expect(await openAll(site, openPlan({ source: { kind: 'Kernel', range } }))).toEqual({
      count: left,
      errno: EADDRNOTAVAIL,
    });
  });
});

describe('the port range of a namespace', () => {
  it.each([
    { range: '1023 2000', lowest: '1024', fact: 'is refused below ip_unprivileged_port_start', errno: EINVAL },
    { range: '1024 2000', lowest: '1024', fact: 'is taken from there on', errno: undefined },
    { range: '1 65535', lowest: '0', fact: 'is taken whole where every port is unprivileged', errno: undefined },
    { range: '0 65535', lowest: '0', fact: 'never begins with 0', errno: EINVAL },
  ])('$range with $lowest $fact', async ({ range, lowest, errno }) => {
    await using site = await makeSite();
    await site.pod.ask('write', { path: 'sys/net/ipv4/ip_unprivileged_port_start', value: lowest });
    const writing = site.pod.ask('write', { path: 'sys/net/ipv4/ip_local_port_range', value: range });
    expect(await writing.catch((error: { errno: number }) => -error.errno)).toBe(errno);
  });
});

it('a new namespace has the defaults that the planner starts from, whatever the one has that it is made in', async () => {
  const { low, high } = defaultPortRange;
  const sysctls = [portRangeOf(100), { name: 'net.core.somaxconn', value: '77' }];
  await using site = await makeSite({ sysctls });
  const read = (name: string): string =>
    site.pod
      .run('unshare', ['--net', 'cat', `/proc/sys/net/${name}`])
      .trim()
      .replaceAll(/\s+/g, ' ');
  expect(read('ipv4/ip_local_port_range')).toBe(`${low} ${high}`);
  expect(read('core/somaxconn')).toBe(String(defaultSomaxconn));
  expect(read('ipv4/tcp_tw_reuse')).toBe('2');
  // Host-wide: a pod's namespace does not have it.
  expect(() => read('ipv4/tcp_mem')).toThrow('No such file');
});
