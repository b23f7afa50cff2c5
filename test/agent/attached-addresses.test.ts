import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import type { PlanSection } from '../../src/api/pod-annotation.ts';
import { makeNetworkNamespace, type NetworkNamespace } from '../linux/network-namespace.ts';
import { Stage } from '../nri/stage.ts';
import { startInPod } from './pod-program.ts';
import { containerOf, setNode, signedPod } from './node-setting.ts';

const attached = (extra: number): Partial<PlanSection> => ({
  sourceAddresses: { provider: 'Multus', extra, spread: 'Application' },
  sysctls: {},
});

/** What Multus leaves behind: its annotation is answered before the sandbox is there. */
const attach = (netns: NetworkNamespace, ips: readonly string[]): void => {
  for (const [name, addresses] of [
    ['eth0', ['10.99.0.2/24']],
    ['net1', ['203.0.113.7/24']],
    ['cb0', ips],
  ] as const) {
    execFileSync('ip', ['-n', netns.name, 'link', 'add', name, 'type', 'bridge']);
    execFileSync('ip', ['-n', netns.name, 'link', 'set', name, 'up']);
    for (const ip of addresses) execFileSync('ip', ['-n', netns.name, 'address', 'add', ip, 'dev', name]);
  }
};

describe('a pod with attachments of Multus', () => {
  test('is told their addresses and no others, and nothing is given back', async () => {
    using netns = makeNetworkNamespace();
    using node = await setNode();
    attach(netns, ['192.0.2.10/24', '192.0.2.11/24']);
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, netns, attached(2));

    expect(await stage.runtime.call('RunPodSandbox', { pod })).toEqual({});

    const { adjust } = await stage.runtime.call('CreateContainer', { pod, container: containerOf(0) });
    expect(adjust).toMatchObject({ env: [{ value: '192.0.2.10,192.0.2.11' }] });
    await stage.runtime.call('StopPodSandbox', { pod });
    expect(stage.errors).toEqual([]);
  });

  test('is known to an agent that comes later', async () => {
    using netns = makeNetworkNamespace();
    using node = await setNode();
    attach(netns, ['192.0.2.10/24', '192.0.2.11/24']);
    await using program = await startInPod('ulimit -Sn 8039');
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, netns, attached(2));
    await stage.runtime.call('PostStartContainer', { pod, container: containerOf(program.pid) });
    await node.verifier.verifyAll(new AbortController().signal);
    expect(node.status().pods).toMatchObject([{ reason: 'Applied', sourceAddresses: ['192.0.2.10', '192.0.2.11'] }]);
  });

  test('that bring fewer than planned starts, and its report has the number', async () => {
    using netns = makeNetworkNamespace();
    using node = await setNode();
    attach(netns, ['192.0.2.10/24']);
    await using stage = await Stage.play(node.handlers);
    expect(await stage.runtime.call('RunPodSandbox', { pod: signedPod(node, netns, attached(3)) })).toEqual({});
    expect(node.status().pods).toMatchObject([
      { reason: 'AddressesMissing', message: expect.stringContaining('2 of 3 further addresses are missing') },
    ]);
  });
});
