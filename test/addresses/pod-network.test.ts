import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { podNetworkProvider } from '../../src/addresses/pod-network.ts';
import { AddressError, isLasting } from '../../src/addresses/provider.ts';
import { nodeAccess } from '../../src/agent/assemble.ts';
import { makeNetworkNamespace } from '../linux/network-namespace.ts';
import { bridged, dualStack, makePodNetwork, type PodNetwork, routed } from './pod-network-setting.ts';

/** The real host-local, called as the agent calls it. */

const { signal } = new AbortController();

const faultOf = async (attempt: Promise<unknown>): Promise<AddressError> => {
  const error: unknown = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AddressError);
  return error as AddressError;
};

const leaseIn = (network: PodNetwork, count: number, netnsPath: string) =>
  network.provider.lease({ sandboxId: 'sandbox-1', netnsPath }, count, signal);

const bothFamilies = {
  primaries: ['10.99.0.2', 'fd99::2'],
  addresses: ['10.99.0.3', '10.99.0.4', '10.99.0.5', 'fd99::3', 'fd99::4', 'fd99::5'],
};

describe('further addresses of a pod', () => {
  test.each([
    {
      name: 'bridged',
      kind: bridged,
      attachment: 'Bridged',
      primaries: ['10.99.0.2'],
      addresses: ['10.99.0.3', '10.99.0.4', '10.99.0.5'],
    },
    { name: 'dual-stack', kind: dualStack, attachment: 'Bridged', ...bothFamilies },
    { name: 'routed', kind: routed, attachment: 'Routed', ...bothFamilies },
  ])('are leased in a $name network, held, and given back', async ({ kind, attachment, primaries, addresses }) => {
    using network = await makePodNetwork(kind);
    using pod = makeNetworkNamespace();
    network.join('sandbox-1', pod);
    const before = network.stored();

    const leases = await leaseIn(network, 3, pod.path);

    expect(leases).toMatchObject({ attachment, interfaceName: 'eth0', primaries, addresses, count: 3 });
    expect(await network.provider.held([], signal)).toMatchObject([
      { sandboxId: 'sandbox-1', primaries, addresses, count: 3 },
    ]);
    expect(network.stored()).toEqual([...before, ...addresses].toSorted());
    await network.provider.release('sandbox-1', signal);
    expect(network.stored()).toEqual(before);
    expect(await network.provider.held([], signal)).toEqual([]);
  });

  test('are completed where some are held already', async () => {
    using network = await makePodNetwork(bridged);
    using pod = makeNetworkNamespace();
    network.join('sandbox-1', pod);
    await leaseIn(network, 2, pod.path);
    expect(await leaseIn(network, 4, pod.path)).toMatchObject({ count: 4, addresses: { length: 4 } });
    expect(network.stored()).toHaveLength(1 + 4);
  });

  test('are all given back where one is missing, and how many are missing is said', async () => {
    // 10.99.0.0/29: six hosts, one is the gateway, one the pod's own.
    using network = await makePodNetwork({ type: 'bridge', subnets: ['10.99.0.0/29'] });
    using pod = makeNetworkNamespace();
    network.join('sandbox-1', pod);

    const fault = await faultOf(leaseIn(network, 6, pod.path));

    expect(fault.kind).toBe('RangeExhausted');
    expect(fault.message).toMatch(/^2 of 6 further addresses are missing: .*no IP addresses available in range set/);
    expect(isLasting(fault)).toBe(false);
    expect(network.stored()).toEqual(['10.99.0.2']);
    expect(await leaseIn(network, 4, pod.path)).toMatchObject({ count: 4 });
  });

  test('are all given back when the time is over', async () => {
    using network = await makePodNetwork(bridged);
    using pod = makeNetworkNamespace();
    network.join('sandbox-1', pod);
    const soon = AbortSignal.timeout(15);
    const attempt = network.provider.lease({ sandboxId: 'sandbox-1', netnsPath: pod.path }, 32, soon);
    expect(await faultOf(attempt)).toMatchObject({ kind: 'TimedOut' });
    expect(network.stored()).toEqual(['10.99.0.2']);
  });

  test("of other pods and the pod's own stay when they are given back", async () => {
    using network = await makePodNetwork(bridged);
    using pod = makeNetworkNamespace();
    using other = makeNetworkNamespace();
    network.join('sandbox-1', pod);
    network.join('sandbox-2', other);
    await leaseIn(network, 2, pod.path);
    await network.provider.lease({ sandboxId: 'sandbox-2', netnsPath: other.path }, 1, signal);
    await network.provider.release('sandbox-1', signal);
    expect(await network.provider.held([], signal)).toMatchObject([{ sandboxId: 'sandbox-2', count: 1 }]);
    expect(network.stored()).toHaveLength(3);
  });
});

describe('a network that cannot be asked', () => {
  test('is refused where the leases of its pods are not seen, with the path', async () => {
    using network = await makePodNetwork(bridged);
    using pod = makeNetworkNamespace();
    network.join('sandbox-1', pod);
    const store = join(network.folder, 'store', 'pods');
    rmSync(store, { recursive: true });
    const unseen = await faultOf(leaseIn(network, 1, pod.path));
    expect(unseen).toMatchObject({ kind: 'StoreNotVisible', message: expect.stringContaining(store) });
    mkdirSync(store, { recursive: true });
    const foreign = await faultOf(leaseIn(network, 1, pod.path));
    expect(foreign).toMatchObject({ kind: 'StoreNotVisible', message: expect.stringContaining(store) });
    expect(isLasting(foreign)).toBe(true);
    expect(network.stored()).toEqual([]);
  });

  test('is refused where its IPAM plugin is not seen', async () => {
    using network = await makePodNetwork(bridged);
    using pod = makeNetworkNamespace();
    network.join('sandbox-1', pod);
    const { configurationFolder, folder } = network;
    const blind = podNetworkProvider({ configurationFolder, programFolders: [folder], access: nodeAccess });
    const attempt = blind.lease({ sandboxId: 'sandbox-1', netnsPath: pod.path }, 1, signal);
    expect(await faultOf(attempt)).toMatchObject({
      message: expect.stringContaining(`host-local is not in ${folder}`),
    });
  });

  test('is refused by the first configuration, as the runtime takes it', async () => {
    using network = await makePodNetwork(bridged);
    using pod = makeNetworkNamespace();
    network.join('sandbox-1', pod);
    const calico = { cniVersion: '0.3.1', name: 'k8s-pod-network', plugins: [{ type: 'calico' }] };
    writeFileSync(join(network.configurationFolder, '05-calico.conflist'), JSON.stringify(calico));
    const fault = await faultOf(leaseIn(network, 1, pod.path));
    expect(fault).toMatchObject({ kind: 'NetworkUnsupported', message: expect.stringContaining('"calico"') });
  });

  test('is refused without any configuration', async () => {
    using network = await makePodNetwork(bridged);
    rmSync(join(network.configurationFolder, '10-pods.conflist'));
    expect(await faultOf(network.provider.held([], signal))).toMatchObject({ kind: 'NetworkUnknown' });
  });
});

test('hostile files of a store are no leases', async () => {
  using network = await makePodNetwork(bridged);
  using pod = makeNetworkNamespace();
  network.join('sandbox-1', pod);
  const store = join(network.folder, 'store', 'pods');
  const files = {
    '10.99.0.50': '',
    '10.99.0.51': '../../etc\r\ncb0',
    '10.99.0.52': 'sandbox-9\r\ncb0\r\nmore',
    '10.99.0.53': 'sandbox-9\r\ncb0 cb1',
    '10.99.0.54': `${'a'.repeat(300)}\r\ncb0`,
    '10.99.0.55': Buffer.alloc(1024 * 1024, 'a'),
    'not-an-address': 'sandbox-9\r\ncb0',
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(store, name), content);
  mkdirSync(join(store, '10.99.0.56'));
  expect(await network.provider.held([], signal)).toEqual([]);
  expect(await leaseIn(network, 1, pod.path)).toMatchObject({ count: 1 });
});
