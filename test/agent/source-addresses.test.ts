import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { podNetworkProvider } from '../../src/addresses/pod-network.ts';
import { nodeAccess } from '../../src/agent/assemble.ts';
import {
  bridged,
  dualStack,
  makePodNetwork,
  type NetworkKind,
  type PodNetwork,
  routed,
} from '../addresses/pod-network-setting.ts';
import { startShell, until } from '../linux/child-program.ts';
import { makeNetworkNamespace, type NetworkNamespace } from '../linux/network-namespace.ts';
import { Stage } from '../nri/stage.ts';
import { addressesIn, further, nodeOn, patience } from './address-setting.ts';
import { containerOf, setNode, signedPod } from './node-setting.ts';

/** A pod of a real network, its real IPAM plugin, and the agent between them. */

/** Connects from the node to each address of a listener in the pod until all have answered. */
const expectReached = async (network: PodNetwork, pod: NetworkNamespace, ips: readonly string[]): Promise<void> => {
  await using listener = await startShell(
    `nsenter --net=${pod.path} python3 -c 'import socket,time
s=socket.create_server(("",7000),family=socket.AF_INET6,dualstack_ipv6=True); print("listening",flush=True); time.sleep(600)' &`,
  );
  await until(() => listener.output().includes('listening'));
  const connect = 'import socket,sys; [socket.create_connection((ip,7000),2) for ip in sys.argv[1:]]';
  // The node's own IPv6 address on its bridge cannot be used for the first second or two (RFC 4862, 5.4).
  await vi.waitFor(
    () => execFileSync('nsenter', [`--net=${network.node.path}`, 'python3', '-c', connect, ...ips], { stdio: 'pipe' }),
    patience,
  );
};

/** Whose plugin takes as many seconds longer as `load` says, where that is there. */
const slowProvider = ({ folder, configurationFolder, programFolders }: PodNetwork, load: string) => {
  const slow = join(folder, 'slow');
  mkdirSync(slow);
  const program = `#!/bin/sh\n[ ! -f ${load} ] || sleep "$(cat ${load})"\nexec ${programFolders[0]}/host-local\n`;
  writeFileSync(join(slow, 'host-local'), program, { mode: 0o755 });
  return podNetworkProvider({ configurationFolder, programFolders: [slow], access: nodeAccess });
};

describe('a pod with four further addresses planned', () => {
  test.each<[string, NetworkKind, readonly string[]]>([
    ['bridged', bridged, []],
    ['dual-stack', dualStack, ['fd99::2', 'fd99::3', 'fd99::4', 'fd99::5', 'fd99::6']],
    ['routed', routed, ['fd99::2', 'fd99::3', 'fd99::4', 'fd99::5', 'fd99::6']],
  ])('of a %s network has and uses them before its first container, and gives them back', async (_, kind, more) => {
    using network = await makePodNetwork(kind);
    using netns = makeNetworkNamespace();
    using node = await nodeOn(network);
    network.join('sandbox-1', netns);
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, netns, further(4));

    await stage.runtime.call('RunPodSandbox', { pod });

    const all = ['10.99.0.2', '10.99.0.3', '10.99.0.4', '10.99.0.5', '10.99.0.6', ...more];
    expect(addressesIn(netns)).toEqual(all);
    await expectReached(network, netns, all);
    await stage.runtime.call('StopPodSandbox', { pod });
    expect(network.stored()).toEqual(all.filter((ip) => ip === '10.99.0.2' || ip === 'fd99::2'));
    expect(addressesIn(netns)).toEqual(network.stored());
    expect(execFileSync('ip', ['-n', network.node.name, 'route'], { encoding: 'utf8' })).not.toContain('10.99.0.3');
    expect(stage.errors).toEqual([]);
  });

  test('is told them by a variable and a file, its own first', async () => {
    using network = await makePodNetwork(bridged);
    using netns = makeNetworkNamespace();
    using node = await nodeOn(network);
    network.join('sandbox-1', netns);
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, netns, further(2));
    await stage.runtime.call('RunPodSandbox', { pod });

    const { adjust } = await stage.runtime.call('CreateContainer', { pod, container: containerOf(0) });
    const sidecar = await stage.runtime.call('CreateContainer', { pod, container: containerOf(0, 'sidecar') });

    const source = join(node.addressFolder, 'sandbox-1', 'source-addresses');
    const all = ['10.99.0.2', '10.99.0.3', '10.99.0.4'];
    expect(adjust).toMatchObject({
      env: [{ key: 'CONNECTIONBUDGET_SOURCE_ADDRESSES', value: all.join(',') }],
      mounts: [
        {
          destination: '/run/connectionbudget/source-addresses',
          type: 'bind',
          source,
          options: expect.arrayContaining(['ro']),
        },
      ],
    });
    expect(readFileSync(source, 'utf8')).toBe(`${all.join('\n')}\n`);
    expect(sidecar.adjust).not.toHaveProperty('env');
    expect(node.status().pods).toMatchObject([{ sourceAddresses: all }]);
    await stage.runtime.call('StopPodSandbox', { pod });
    expect(readdirSync(node.addressFolder)).toEqual([]);
  });

  test('is not made while the range has too few, and is once it has', async () => {
    using network = await makePodNetwork({ type: 'bridge', subnets: ['10.99.0.0/29'] });
    using netns = makeNetworkNamespace();
    using node = await nodeOn(network);
    network.join('sandbox-1', netns);
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, netns, further(4));
    {
      using other = makeNetworkNamespace();
      network.join('sandbox-2', other);

      const refused = await stage.runtime.call('RunPodSandbox', { pod });

      const message = expect.stringContaining('1 of 4 further addresses are missing');
      expect(refused).toMatchObject({ code: 9, error: message });
      expect(node.status().pods).toMatchObject([{ verified: false, reason: 'AddressesMissing', message }]);
      expect(addressesIn(netns)).toEqual(['10.99.0.2']);
      expect(network.stored()).toEqual(['10.99.0.2', '10.99.0.3']);
    }
    network.leave('sandbox-2');
    // The other pod's link answers for its address until the kernel has taken its namespace away.
    await vi.waitFor(async () => expect(await stage.runtime.call('RunPodSandbox', { pod })).toEqual({}), patience);
    expect(addressesIn(netns)).toHaveLength(5);
    expect(node.status().pods).toMatchObject([{ sourceAddresses: { length: 5 } }]);
    expect(node.errors[0]).toMatchObject({ kind: 'RangeExhausted' });
  });

  test('is not made with an address that somebody has, and gets others when it is tried again', async () => {
    using network = await makePodNetwork(dualStack);
    using netns = makeNetworkNamespace();
    using squatter = makeNetworkNamespace();
    using node = await nodeOn(network);
    network.join('sandbox-1', netns);
    network.join('squatter', squatter);
    // Somebody who has it without a lease.
    execFileSync('ip', ['-n', squatter.name, 'address', 'add', '10.99.0.5/32', 'dev', 'eth0']);
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, netns, further(3));

    const refused = await stage.runtime.call('RunPodSandbox', { pod });

    expect(refused).toMatchObject({ code: 9, error: expect.stringMatching(/10\.99\.0\.5 is in use already, by \S+/) });

    expect(network.stored()).toEqual(['10.99.0.2', '10.99.0.3', 'fd99::2', 'fd99::3']);
    await stage.runtime.call('RunPodSandbox', { pod });
    expect(addressesIn(netns).filter((ip) => ip.startsWith('10.'))).toEqual([
      '10.99.0.2',
      '10.99.0.7',
      '10.99.0.8',
      '10.99.0.9',
    ]);
  });

  test('is not made where its node is too slow, which holds nobody up, and is when that has passed', async () => {
    using network = await makePodNetwork(bridged);
    using netns = makeNetworkNamespace();
    const load = join(network.folder, 'load');
    using node = await setNode({}, network.node.path, { addresses: slowProvider(network, load) });
    network.join('sandbox-1', netns);
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, netns, further(5));
    writeFileSync(load, '0.9');

    const refused = await stage.runtime.call('RunPodSandbox', { pod });

    expect(refused).toMatchObject({ code: 9, error: expect.stringContaining('not on the interface in time') });
    expect(node.status().pods).toMatchObject([{ reason: 'AddressesMissing' }]);
    await vi.waitFor(() => expect(network.stored()).toEqual(['10.99.0.2']), patience);
    rmSync(load);
    expect(await stage.runtime.call('RunPodSandbox', { pod })).toEqual({});
    expect(addressesIn(netns)).toHaveLength(6);
    expect(node.status().pods).toMatchObject([{ reason: 'Pending', sourceAddresses: { length: 6 } }]);
    expect(stage.errors).toEqual([]);
  });

  test('that a runtime starts after a refusal, of which it heard too late, is told of until it ends and no longer', async () => {
    using network = await makePodNetwork({ type: 'bridge', subnets: ['10.99.0.0/29'] });
    using netns = makeNetworkNamespace();
    using node = await nodeOn(network);
    network.join('sandbox-1', netns);
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, netns, further(6));
    expect(await stage.runtime.call('RunPodSandbox', { pod })).toMatchObject({ code: 9 });

    await stage.runtime.call('CreateContainer', { pod, container: containerOf(0) });

    const message = expect.stringContaining('2 of 6 further addresses are missing');
    expect(node.status().pods).toMatchObject([{ reason: 'AddressesMissing', message }]);
    await stage.runtime.call('StopPodSandbox', { pod });
    expect(node.status().pods).toEqual([]);
  });

  test('starts without them where the network cannot be asked, and its report says why', async () => {
    using network = await makePodNetwork({ ...bridged, plugin: { ipMasq: true } });
    using netns = makeNetworkNamespace();
    using node = await nodeOn(network);
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, netns, further(4));
    expect(await stage.runtime.call('RunPodSandbox', { pod })).toEqual({});
    expect(node.status().pods).toMatchObject([
      {
        verified: false,
        reason: 'AddressesMissing',
        message: expect.stringMatching(/4 further source addresses planned; bridge .*ipMasq/),
      },
    ]);
    const { adjust } = await stage.runtime.call('CreateContainer', { pod, container: containerOf(0) });
    expect(adjust).not.toHaveProperty('env');
  });

  test("gets none on its node's network", async () => {
    using network = await makePodNetwork(bridged);
    using node = await nodeOn(network);
    await using stage = await Stage.play(node.handlers);
    await stage.runtime.call('RunPodSandbox', { pod: signedPod(node, network.node, further(4)) });
    expect(node.status().pods).toMatchObject([
      { reason: 'AddressesMissing', message: expect.stringContaining("node's network") },
    ]);
  });
});
