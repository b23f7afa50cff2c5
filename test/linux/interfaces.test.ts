import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { Neighbour } from '../../src/linux/neighbours.ts';
import { createNamespaceWorker, type NamespaceWorker } from '../../src/linux/namespace-worker.ts';
import type { NamespaceOperation, ResultOf } from '../../src/linux/namespace-operations.ts';
import { makeNetworkNamespace, type NetworkNamespace } from './network-namespace.ts';

let controller: AbortController;
let worker: NamespaceWorker;
beforeEach(() => {
  controller = new AbortController();
  worker = createNamespaceWorker({ signal: controller.signal });
});
afterEach(() => controller.abort());

const ip = (netns: NetworkNamespace, ...args: readonly string[]): string =>
  execFileSync('ip', ['-n', netns.name, ...args], { encoding: 'utf8' });

/** Runs a program inside, and gives what it prints. */
const inside = ({ path }: NetworkNamespace, ...command: readonly string[]): string =>
  execFileSync('nsenter', [`--net=${path}`, ...command], { encoding: 'utf8' });

/** A link between two namespaces, as between a pod (10.99.0.2, fd99::2) and another one on its bridge (10.99.0.3, fd99::3). */
const link = (pod: NetworkNamespace, peer: NetworkNamespace): void => {
  ip(pod, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', peer.name);
  for (const [netns, host] of [
    [pod, 2],
    [peer, 3],
  ] as const) {
    ip(netns, 'address', 'add', `10.99.0.${host}/24`, 'dev', 'eth0');
    ip(netns, 'address', 'add', `fd99::${host}/64`, 'dev', 'eth0', 'nodad');
    // As the bridge plugin does: without it the link-local address cannot be used for a second.
    inside(netns, 'sysctl', '-qw', 'net.ipv6.conf.eth0.accept_dad=0');
    ip(netns, 'link', 'set', 'eth0', 'up');
  }
};

const eth0 = { interfaceName: 'eth0' } as const;

async function visit<const T extends NamespaceOperation>(netns: NetworkNamespace, operation: T): Promise<ResultOf<T>> {
  const [result] = await worker.run(netns.path, [operation]);
  return result;
}

async function answersTo(netns: NetworkNamespace, ips: readonly string[]): Promise<readonly Neighbour[]> {
  await visit(netns, { operation: 'AskNeighbours', ...eth0, ips });
  await new Promise((resolve) => setTimeout(resolve, 100));
  const taken = await visit(netns, { operation: 'TakeNeighbours', ...eth0, ips });
  if (!taken.ok) throw new Error(taken.failure.message);
  return taken.value;
}

/** The source that the kernel takes for a connection that nobody binds. */
const sourceFor = (netns: NetworkNamespace, destination: string): string =>
  /src (\S+)/.exec(ip(netns, 'route', 'get', destination))?.[1] ?? '';

describe('addresses of an interface', () => {
  test('are added and removed once, and say so', async () => {
    using pod = makeNetworkNamespace();
    using peer = makeNetworkNamespace();
    link(pod, peer);
    const ips = ['10.99.0.10', '10.99.0.11', 'fd99::10'];
    const add = { operation: 'AddAddresses', ...eth0, ips } as const;
    const remove = { operation: 'RemoveAddresses', ...eth0, ips } as const;
    expect(await visit(pod, add)).toEqual({ ok: true, value: ips });
    expect(await visit(pod, add)).toEqual({ ok: true, value: [] });
    const listed = await visit(pod, { operation: 'ListAddresses' });
    expect(listed).toMatchObject({
      ok: true,
      value: expect.arrayContaining([
        { ...eth0, ip: '10.99.0.2', prefixLength: 24, isDuplicate: false },
        { ...eth0, ip: '10.99.0.10', prefixLength: 32, isDuplicate: false },
        { ...eth0, ip: 'fd99::10', prefixLength: 128, isDuplicate: false },
      ]),
    });
    expect(await visit(pod, remove)).toEqual({ ok: true, value: ips });
    expect(await visit(pod, remove)).toEqual({ ok: true, value: [] });
  });

  test('answer at once, and are no source of what is not bound to them', async () => {
    using pod = makeNetworkNamespace();
    using peer = makeNetworkNamespace();
    link(pod, peer);
    // fd99::13 shares 15 bits more with fd99::11 and fd99::12 than the pod's own fd99::2 does.
    await visit(pod, { operation: 'AddAddresses', ...eth0, ips: ['10.99.0.10', 'fd99::11', 'fd99::12'] });
    const answers = await answersTo(peer, ['10.99.0.10', 'fd99::11', 'fd99::12']);
    expect(answers.map((answer) => answer.ip).toSorted()).toEqual(['10.99.0.10', 'fd99::11', 'fd99::12']);
    expect(sourceFor(pod, '10.99.0.3')).toBe('10.99.0.2');
    expect(sourceFor(pod, 'fd99::13')).toBe('fd99::2');
  });

  test('of an interface that is not there are a failure', async () => {
    using pod = makeNetworkNamespace();
    const add = { operation: 'AddAddresses', interfaceName: 'eth7', ips: ['10.99.0.10'] } as const;
    expect(await visit(pod, add)).toMatchObject({
      ok: false,
      failure: { kind: 'NotFound', message: expect.stringContaining('eth7') },
    });
  });

  test.each(['10.99.0', '10.99.0.256', 'fd99::1%eth0', 'name'])('%s is none', async (ips) => {
    using pod = makeNetworkNamespace();
    const add = { operation: 'AddAddresses', interfaceName: 'lo', ips: [ips] } as const;
    expect(await visit(pod, add)).toMatchObject({ ok: false, failure: { kind: 'InvalidInput' } });
  });
});

describe('an address that somebody has', () => {
  test('is found by asking, one that nobody has is not', async () => {
    using pod = makeNetworkNamespace();
    using peer = makeNetworkNamespace();
    link(pod, peer);
    ip(peer, 'address', 'add', '10.99.0.20/32', 'dev', 'eth0');
    ip(peer, 'address', 'add', 'fd99::20/128', 'dev', 'eth0', 'nodad');
    const ips = ['10.99.0.20', '10.99.0.21', 'fd99::20', 'fd99::21'];
    const answers = await answersTo(pod, ips);
    const [, linkAddress] = /link\/ether (\S+)/.exec(ip(peer, 'link', 'show', 'eth0')) ?? [];
    expect(answers.toSorted((a, b) => (a.ip < b.ip ? -1 : 1))).toEqual([
      { ip: '10.99.0.20', linkAddress },
      { ip: 'fd99::20', linkAddress },
    ]);
    expect(ip(pod, 'neighbour', 'show')).not.toMatch(/10\.99\.0\.2[01]|fd99::2[01]/);
  });
});

describe("a node's routes to a pod", () => {
  test('lead where its first address is, and not over those of another pod', async () => {
    using node = makeNetworkNamespace();
    using pod = makeNetworkNamespace();
    using other = makeNetworkNamespace();
    for (const [netns, name, host] of [
      [pod, 'veth-a', 2],
      [other, 'veth-b', 3],
    ] as const) {
      ip(node, 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns.name);
      ip(node, 'link', 'set', name, 'up');
      ip(netns, 'link', 'set', 'eth0', 'up');
      ip(node, 'route', 'add', `10.99.0.${host}/32`, 'dev', name);
      ip(node, '-6', 'route', 'add', `fd99::${host}/128`, 'dev', name);
    }
    const add = (besideIp: string, ips: readonly string[]) =>
      visit(node, { operation: 'AddHostRoutes', besideIp, ips });
    expect(await add('10.99.0.2', ['10.99.0.10'])).toEqual({ ok: true, value: [] });
    expect(await add('10.99.0.2', ['10.99.0.10', '10.99.0.11'])).toEqual({ ok: true, value: [] });
    expect(await add('10.99.0.2', ['10.99.0.3'])).toEqual({ ok: true, value: ['10.99.0.3'] });
    expect(await add('fd99::2', ['fd99::10', 'fd99::3'])).toEqual({ ok: true, value: ['fd99::3'] });
    expect(ip(node, 'route', 'get', '10.99.0.11')).toContain('dev veth-a');
    expect(ip(node, 'route', 'get', 'fd99::10')).toContain('dev veth-a');
    const remove = {
      operation: 'RemoveHostRoutes',
      besideIp: '10.99.0.2',
      ips: ['10.99.0.10', '10.99.0.11', '10.99.0.12'],
    } as const;
    expect(await visit(node, remove)).toEqual({ ok: true, value: [] });
    expect(ip(node, 'route', 'show')).not.toContain('10.99.0.10');
  });
});
