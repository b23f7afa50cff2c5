import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { cgroupPathFor, type SpreadSetting } from '../../src/agent/pod-spread.ts';
import { portsListed } from '../../src/agent/pod-network.ts';
import type { PlanSection } from '../../src/api/pod-annotation.ts';
import { bridged, makePodNetwork } from '../addresses/pod-network-setting.ts';
import {
  cgroupRoot,
  hundredPorts,
  makeBpffs,
  makeSpreadSetting,
  openTestSpreader,
  peerIp,
  peerPorts,
  programsAt,
  spreadObject,
  spreadPod,
  startConnector,
  startServer,
} from '../kernel/spread-setting.ts';
import { makeNetworkNamespace } from '../linux/network-namespace.ts';
import { Stage } from '../nri/stage.ts';
import { startInPod } from './pod-program.ts';
import { containerOf, type NodeSetting, setNode, signedPod } from './node-setting.ts';

/** The agent, the program in the kernel, and programs of pods that only connect. */

const [port] = peerPorts;
const ports: Partial<PlanSection> = {
  sourceAddresses: { provider: 'None', extra: 0, spread: 'Transparent', ports: 'Spread' },
  sysctls: {},
};

const settingOf = async (change: Partial<SpreadSetting> = {}): Promise<SpreadSetting> => ({
  mode: 'pod-cgroup',
  objectPath: await spreadObject(),
  bpffsFolder: '/nowhere',
  cgroupFolder: cgroupRoot(),
  ...change,
});

const nodeWith = async (change: Partial<SpreadSetting> = {}): Promise<NodeSetting> =>
  setNode({}, '/proc/self/ns/net', { spread: await settingOf(change) });

/** As a runtime describes a pod of this namespace and cgroup. */
const podOf = (
  node: NodeSetting,
  { podPath, cgroup }: { readonly podPath: string; readonly cgroup: string },
  section = ports,
) => {
  const pod = signedPod(node, { path: podPath }, section);
  return { ...pod, linux: { ...pod.linux, cgroup_parent: cgroup.slice(cgroupRoot().length) } };
};

describe('a pod whose ports are spread', () => {
  test.each(['pod-cgroup', 'root'] as const)('has all of them from its first program on, by %s', async (mode) => {
    await using setting = await makeSpreadSetting(1, hundredPorts);
    await setting.setSysctl('net.ipv4.ip_local_reserved_ports', '40007,40010-40011');
    using node = await nodeWith({ mode });
    await using stage = await Stage.play(node.handlers);
    const pod = podOf(node, setting);

    await stage.runtime.call('RunPodSandbox', { pod });

    const connector = await setting.start();
    expect(await connector.open(peerIp, port, 48)).toMatchObject({ opened: 48, errno: 0 });
    const used = (await connector.sources()).map((source) => Number(source.split(' ')[1]));
    expect(Math.max(...used)).toBeLessThanOrEqual(hundredPorts.high - 48);
    expect(await connector.open(peerIp, port, 100)).toMatchObject({ opened: 97 - 48, errno: 99 });
    await using program = await startInPod('ulimit -Sn 8039');
    await stage.runtime.call('PostStartContainer', { pod, container: containerOf(program.pid) });
    await node.verifier.verifyAll(AbortSignal.timeout(5000));
    expect(node.status().pods).toMatchObject([{ verified: true, reason: 'Applied' }]);

    expect(programsAt(setting.cgroup).length).toBe(mode === 'root' ? 0 : 2);
    await stage.runtime.call('StopPodSandbox', { pod });
    expect(programsAt(setting.cgroup)).toEqual([]);
    expect({ stage: stage.errors, node: node.errors }).toEqual({ stage: [], node: [] });
  });

  test.each([
    { why: 'turned off on this node', setting: { mode: 'off' } as const },
    { why: 'cannot open the eBPF object', setting: { objectPath: '/nowhere/spread.bpf.o' } },
    { why: 'pods have no cgroups of version 2 here', setting: { cgroupFolder: '/sys/fs' } },
  ])('starts without where it is $why, and its report says so', async ({ why, setting }) => {
    await using pod = await makeSpreadSetting(1, hundredPorts);
    using node = await nodeWith(setting);
    await using stage = await Stage.play(node.handlers);
    await stage.runtime.call('RunPodSandbox', { pod: podOf(node, pod) });
    expect(node.status().pods).toMatchObject([
      {
        verified: false,
        reason: 'SpreadNotAvailable',
        message: expect.stringMatching(`^spread of source addresses and ports planned; .*${why}`),
      },
    ]);
    expect({ stage: stage.errors, node: node.errors }).toEqual({ stage: [], node: [] });
  });

  test("on its node's own network is left alone", async () => {
    using node = await nodeWith();
    await using stage = await Stage.play(node.handlers);
    await stage.runtime.call('RunPodSandbox', { pod: signedPod(node, { path: '/proc/self/ns/net' }, ports) });
    const message = expect.stringContaining("node's network") as string;
    expect(node.status().pods).toMatchObject([{ reason: 'SpreadNotAvailable', message }]);
  });

  test('that nobody asked for has no entry, and nothing is loaded', async () => {
    await using setting = await makeSpreadSetting(1, hundredPorts);
    using node = await nodeWith({ mode: 'root' });
    await using stage = await Stage.play(node.handlers);
    const before = programsAt(setting.cgroup);
    await stage.runtime.call('RunPodSandbox', { pod: podOf(node, setting, { sysctls: {} }) });
    await node.verifier.verifyAll(AbortSignal.timeout(5000));
    expect(programsAt(setting.cgroup)).toEqual(before);
  });
});

test('further addresses are used by a program that only connects', async () => {
  using network = await makePodNetwork(bridged);
  using netns = makeNetworkNamespace();
  using node = await setNode({}, network.node.path, {
    addresses: network.provider,
    spread: await settingOf({ mode: 'root' }),
  });
  network.join('sandbox-1', netns);
  await using stage = await Stage.play(node.handlers);
  const sourceAddresses = { provider: 'PodNetwork', extra: 3, spread: 'Transparent' } as const;
  const pod = signedPod(node, netns, { sourceAddresses, sysctls: {} });
  await stage.runtime.call('RunPodSandbox', { pod });
  // A machine with nothing to spare may miss the sandbox's deadline; the next pass does it then.
  await node.verifier.applySpread('sandbox-1', { isLate: true, signal: AbortSignal.timeout(10_000) });
  await using serving = await startServer(network.node.path);
  expect(serving).toBeDefined();
  await using connector = startConnector(netns.path);
  expect(await connector.open('10.99.0.1', port, 40)).toMatchObject({ opened: 40 });
  const used = Map.groupBy(await connector.sources(), (source) => source.split(' ')[0]);
  const counts = Object.fromEntries([...used].map(([ip, sources]) => [ip, sources.length]));
  expect(counts).toEqual({ '10.99.0.2': 10, '10.99.0.3': 10, '10.99.0.4': 10, '10.99.0.5': 10 });
  await stage.runtime.call('StopPodSandbox', { pod });
});

test('addresses of an attachment are not spread, for they lead to another network', async () => {
  await using setting = await makeSpreadSetting(1, hundredPorts);
  using node = await nodeWith();
  await using stage = await Stage.play(node.handlers);
  const sourceAddresses = { provider: 'Multus', extra: 2, spread: 'Transparent' } as const;
  await stage.runtime.call('PostStartContainer', {
    pod: podOf(node, setting, { sourceAddresses, sysctls: {} }),
    container: containerOf(1),
  });
  await node.verifier.applySpread('sandbox-1', { isLate: true, signal: AbortSignal.timeout(10_000) });
  expect(node.status().pods).toMatchObject([{ message: expect.stringContaining('lead to its own network alone') }]);
  expect(programsAt(setting.cgroup)).toEqual([]);
});

describe('an agent that starts again', () => {
  test('finds its pods spread, and takes back what those left that ended meanwhile', async () => {
    using bpffs = makeBpffs();
    await using setting = await makeSpreadSetting(1, hundredPorts);
    const pinned = { bpffsFolder: bpffs.path };
    {
      using node = await nodeWith(pinned);
      await using stage = await Stage.play(node.handlers);
      await stage.runtime.call('RunPodSandbox', { pod: podOf(node, setting) });
    }
    expect(programsAt(setting.cgroup).length).toBe(2);
    {
      using between = await openTestSpreader({ bpffsPath: bpffs.path });
      expect(between.pods()).toEqual([setting.cookie]);
      between.setPod(setting.cookie + 1_000_000n, spreadPod());
    }
    using node = await nodeWith(pinned);
    await using program = await startInPod('ulimit -Sn 8039');
    await using stage = await Stage.play(node.handlers);
    const pod = podOf(node, setting);
    await stage.runtime.call('PostStartContainer', { pod, container: containerOf(program.pid) });
    await node.settled();
    await node.verifier.verifyAll(AbortSignal.timeout(5000));
    await node.giveBackLost();
    using after = await openTestSpreader({ bpffsPath: bpffs.path });
    expect(after.pods()).toEqual([setting.cookie]);
    expect({ stage: stage.errors, node: node.errors }).toEqual({ stage: [], node: [] });
  });

  test.each([
    {
      where: 'by pod-cgroup, where pods have cgroups of version 2',
      mode: 'pod-cgroup',
      folder: cgroupRoot(),
      there: 1,
    },
    { where: 'by root', mode: 'root', folder: '/nowhere', there: 1 },
    { where: 'not by pod-cgroup, where pods have none', mode: 'pod-cgroup', folder: '/nowhere', there: 0 },
    { where: 'not by off', mode: 'off', folder: cgroupRoot(), there: 0 },
  ] as const)('is loaded before a pod asks for it: $where', async ({ mode, folder, there }) => {
    using bpffs = makeBpffs();
    using node = await nodeWith({ mode, cgroupFolder: folder, bpffsFolder: bpffs.path });
    await node.giveBackLost();
    expect(readdirSync(bpffs.path).filter((name) => name.startsWith('spread-'))).toHaveLength(there);
    expect(node.errors).toEqual([]);
  });

  test('without the mode removes what an earlier one had pinned', async () => {
    using bpffs = makeBpffs();
    await using setting = await makeSpreadSetting(1, hundredPorts);
    {
      using earlier = await openTestSpreader({ bpffsPath: bpffs.path });
      earlier.attach(setting.cgroup);
    }
    expect(programsAt(setting.cgroup).length).toBe(2);
    using node = await nodeWith({ mode: 'off', bpffsFolder: bpffs.path });
    await node.giveBackLost();
    expect(programsAt(setting.cgroup)).toEqual([]);
  });
});

test.each([
  { parent: '/kubepods/burstable/pod1', path: '/kubepods/burstable/pod1' },
  {
    parent: 'kubepods-burstable-pod1.slice',
    path: 'kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice',
  },
  { parent: '/a.slice/a-b.slice', path: '/a.slice/a-b.slice' },
])('the cgroup of $parent is $path', ({ parent, path }) => {
  expect(cgroupPathFor(parent)).toBe(path);
});

test('a list of ports is read as the kernel writes it', () => {
  expect(portsListed('1883,8080-8082')).toEqual([1883, 8080, 8081, 8082]);
  expect(portsListed('')).toEqual([]);
});
