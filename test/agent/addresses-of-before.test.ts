import { readFileSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bridged, makePodNetwork, type PodNetwork } from '../addresses/pod-network-setting.ts';
import { makeNetworkNamespace } from '../linux/network-namespace.ts';
import { Stage } from '../nri/stage.ts';
import { addressesIn, further, nodeOn } from './address-setting.ts';
import { containerOf, signedPod } from './node-setting.ts';
import { startInPod } from './pod-program.ts';

/** Makes what is handed out look as if that had been long ago. */
const old = (network: PodNetwork): void => {
  for (const ip of network.stored()) utimesSync(join(network.folder, 'store', 'pods', ip), 1, 1);
};

describe('an agent that was away', () => {
  test('finds the leases of the pods that are there, and puts on an interface what it was killed before', async () => {
    using network = await makePodNetwork(bridged);
    using netns = makeNetworkNamespace();
    network.join('sandbox-1', netns);
    await network.provider.lease({ sandboxId: 'sandbox-1', netnsPath: netns.path }, 2, new AbortController().signal);
    old(network);
    using node = await nodeOn(network);
    await using program = await startInPod('ulimit -Sn 8039');
    const pod = signedPod(node, netns, further(2));
    await using stage = await Stage.set();
    const runtime = await stage.startRuntime();
    stage.startPlugin(node.handlers);
    await runtime.reached('synchronized');
    await runtime.call('PostStartContainer', { pod, container: containerOf(program.pid) });
    await node.verifier.verifyAll(new AbortController().signal);

    expect(addressesIn(netns)).toEqual(['10.99.0.2', '10.99.0.3', '10.99.0.4']);
    expect(node.status().pods).toMatchObject([{ reason: 'AppliedLate', sourceAddresses: { length: 3 } }]);
    expect(await node.giveBackLost()).toBe(0);
    expect(network.stored()).toHaveLength(3);
  });

  test('tells the containers to come of a pod what an agent before it has leased, killed before it could say so', async () => {
    using network = await makePodNetwork(bridged);
    using netns = makeNetworkNamespace();
    network.join('sandbox-1', netns);
    await using stage = await Stage.set();
    const runtime = await stage.startRuntime();
    await network.provider.lease({ sandboxId: 'sandbox-1', netnsPath: netns.path }, 2, new AbortController().signal);
    using node = await nodeOn(network);
    const pod = signedPod(node, netns, further(2));
    await runtime.call('RunPodSandbox', { pod });
    stage.startPlugin(node.handlers);
    await runtime.reached('synchronized');

    const { adjust } = await runtime.call('CreateContainer', { pod, container: containerOf(0) });

    const value = '10.99.0.2,10.99.0.3,10.99.0.4';
    expect(adjust).toMatchObject({ env: [{ key: 'CONNECTIONBUDGET_SOURCE_ADDRESSES', value }] });
    expect(addressesIn(netns)).toEqual(value.split(','));
    const file = join(node.addressFolder, 'sandbox-1', 'source-addresses');
    expect(readFileSync(file, 'utf8')).toBe(`${value.replaceAll(',', '\n')}\n`);
    await node.settled();
    expect(node.status().pods).toMatchObject([
      { sourceAddresses: { length: 3 }, message: expect.stringMatching(/^not seen yet/) },
    ]);
  });

  test('gives back the leases of the pods that ended meanwhile, with their files', async () => {
    using network = await makePodNetwork(bridged);
    using node = await nodeOn(network);
    {
      using netns = makeNetworkNamespace();
      network.join('sandbox-1', netns);
      await using stage = await Stage.play(node.handlers);
      await stage.runtime.call('RunPodSandbox', { pod: signedPod(node, netns, further(4)) });
      network.leave('sandbox-1');
    }
    expect(network.stored()).toHaveLength(4);
    using later = await nodeOn(network);
    expect(await later.giveBackLost()).toBe(0); // they are younger than 30 s
    old(network);
    expect(await later.giveBackLost()).toBe(1);
    expect(network.stored()).toEqual([]);
  });

  test('gives back what a reboot has left, though the runtime still lists the sandbox', async () => {
    using network = await makePodNetwork(bridged);
    using node = await nodeOn(network);
    await using stage = await Stage.play(node.handlers);
    {
      using netns = makeNetworkNamespace();
      network.join('sandbox-1', netns);
      await stage.runtime.call('RunPodSandbox', { pod: signedPod(node, netns, further(2)) });
    }
    old(network);
    expect(network.stored()).toHaveLength(3);
    expect(await node.giveBackLost()).toBe(1);
    expect(network.stored()).toEqual(['10.99.0.2']);
  });

  test('says of a pod that started meanwhile how many addresses it lacks', async () => {
    using network = await makePodNetwork(bridged);
    using netns = makeNetworkNamespace();
    using node = await nodeOn(network);
    network.join('sandbox-1', netns);
    await using program = await startInPod('ulimit -Sn 8039');
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, netns, further(4));
    await stage.runtime.call('PostStartContainer', { pod, container: containerOf(program.pid) });
    await node.verifier.verifyAll(new AbortController().signal);
    expect(node.status().pods).toMatchObject([
      { reason: 'AddressesMissing', message: expect.stringMatching(/4 of them are missing: .*no agent was there/) },
    ]);
  });
});
