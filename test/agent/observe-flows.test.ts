import { describe, expect, test } from 'vitest';
import type { PlanSection } from '../../src/api/pod-annotation.ts';
import { peerPorts } from '../kernel/spread-setting.ts';
import { flowsObject, makePod, type Pod } from '../linux/flow-setting.ts';
import { Stage } from '../nri/stage.ts';
import { type NodeSetting, setNode, signedPod } from './node-setting.ts';

/** The agent and pods that have both ends of their connections. */

const [first, second, third] = peerPorts;
const flows: PlanSection['flows'] = [
  { name: 'mqtt', direction: 'Inbound', port: first, targets: [] },
  { name: 'broker', direction: 'Outbound', port: 0, targets: [`127.0.0.9:${second}`] },
  { name: 'web', direction: 'Outbound', port: 0, targets: [] },
];

const podOf = (node: NodeSetting, { path }: Pick<Pod, 'path'>, id = '1') => ({
  ...signedPod(node, { path }, { flows, sysctls: {} }),
  id: `sandbox-${id}`,
  uid: `uid-${id}`,
});

const flow = (name: string, connections: number) => ({ name, connections, timeWait: 0 });

test('what the flows of two pods use is reported, each for itself', async () => {
  await using one = await makePod();
  await using other = await makePod();
  using node = await setNode({}, '/proc/self/ns/net', { flowsObjectPath: await flowsObject() });
  await using stage = await Stage.play(node.handlers);
  await stage.runtime.call('RunPodSandbox', { pod: podOf(node, one, '1') });
  await stage.runtime.call('RunPodSandbox', { pod: podOf(node, other, '2') });
  await one.connector.open('127.0.0.1', first, 5);
  await one.connector.open('127.0.0.9', second, 3);
  await other.connector.open('127.0.0.1', third, 2);
  await node.lookAtFlows();
  expect(node.status().pods).toMatchObject([
    { uid: 'uid-1', flows: [flow('mqtt', 5), flow('broker', 3), flow('web', 5)] },
    { uid: 'uid-2', flows: [flow('mqtt', 0), flow('broker', 0), flow('web', 2)] },
  ]);
  expect(node.flowRounds).toMatchObject([{ pods: 2, source: 'Iterator', reason: undefined }]);
});

test('a round waits its time, and nothing is known before the first one', async () => {
  await using pod = await makePod();
  using node = await setNode();
  await using stage = await Stage.play(node.handlers);
  await stage.runtime.call('RunPodSandbox', { pod: podOf(node, pod) });
  expect(node.status().pods[0]).not.toHaveProperty('flows');
  await node.lookAtFlows();
  await pod.connector.open('127.0.0.1', first, 5);
  await node.lookAtFlows();
  expect(node.status().pods).toMatchObject([{ flows: [flow('mqtt', 0), flow('broker', 0), flow('web', 0)] }]);
  expect(node.flowRounds).toHaveLength(1);
  expect(node.flowRounds[0]?.waitMs).toBeGreaterThanOrEqual(15_000);
});

test('without the program sockets are told one by one, and the round says why', async () => {
  await using pod = await makePod();
  using node = await setNode();
  await using stage = await Stage.play(node.handlers);
  await stage.runtime.call('RunPodSandbox', { pod: podOf(node, pod) });
  await pod.connector.open('127.0.0.1', first, 5);
  await node.lookAtFlows();
  expect(node.status().pods).toMatchObject([{ flows: [flow('mqtt', 5), flow('broker', 0), flow('web', 5)] }]);
  const reason = 'cannot open the eBPF object /nowhere/flows.bpf.o: ENOENT';
  expect(node.flowRounds).toMatchObject([{ source: 'SockDiag', reason }]);
});

describe('a pod whose sockets cannot be counted', () => {
  const odd: PlanSection['flows'] = [{ name: 'odd', direction: 'Outbound', port: 0, targets: ['[fe80::1%eth0]:80'] }];

  test.each([
    { beside: 1, round: { pods: 2, source: 'SockDiag' } },
    { beside: 0, round: { pods: 1, source: 'None', waitMs: 300_000 } },
  ])('keeps no other from being counted: $beside beside it', async ({ beside, round }) => {
    await using pod = await makePod();
    using node = await setNode();
    await using stage = await Stage.play(node.handlers);
    const strange = { ...signedPod(node, pod, { flows: odd, sysctls: {} }), id: 'sandbox-1', uid: 'uid-1' };
    const others = [podOf(node, pod, '2')].slice(0, beside);
    for (const each of [strange, ...others]) await stage.runtime.call('RunPodSandbox', { pod: each });
    await node.lookAtFlows();
    expect(node.flowRounds).toMatchObject([round]);
    expect(node.errors).toMatchObject([{ kind: 'InvalidInput' }]);
    expect(node.status().pods.map(({ flows: told }) => told?.length)).toEqual([undefined, 3].slice(0, 1 + beside));
  });
});

test('a pod that is gone, or is on its node’s network, is passed over', async () => {
  await using pod = await makePod();
  using node = await setNode();
  await using stage = await Stage.play(node.handlers);
  await stage.runtime.call('RunPodSandbox', { pod: podOf(node, { path: '/run/netns/gone' }, '1') });
  await stage.runtime.call('RunPodSandbox', { pod: podOf(node, { path: '/proc/self/ns/net' }, '2') });
  await stage.runtime.call('RunPodSandbox', { pod: podOf(node, pod, '3') });
  await node.lookAtFlows();
  const [gone, onNode, there] = node.status().pods;
  expect([gone?.flows, onNode?.flows]).toEqual([undefined, undefined]);
  expect(there?.flows).toHaveLength(3);
  expect(node.flowRounds).toMatchObject([{ pods: 1 }]);
});
