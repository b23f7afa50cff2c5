import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { ContainerSchema, ContainerState, PodSandboxSchema } from '../../src/nri/gen/nri_pb.ts';
import { makeNetworkNamespace } from '../linux/network-namespace.ts';
import { Stage } from '../nri/stage.ts';
import { setNode, signedPod } from './node-setting.ts';
import { startInPod } from './pod-program.ts';

/** Ends of pods that a runtime does not tell: of those from before its restart, and while no agent is there. */

const ofDefaultLimits = 'ulimit -Sn 1024';

test('sandboxes that have stopped and are listed still are no pods', async () => {
  using node = await setNode();
  await using program = await startInPod(ofDefaultLimits);
  const { annotations } = signedPod(node, undefined);
  const known = { uid: 'u', name: 'p', namespace: 'messaging', annotations };
  const gone = { namespaces: [{ type: 'network', path: '/run/netns/gone' }] };
  const stopped = create(PodSandboxSchema, { ...known, id: 'stopped', linux: gone });
  const stripped = create(PodSandboxSchema, { ...known, id: 'stripped' });
  const onNode = create(PodSandboxSchema, { ...known, id: 'sandbox-1', uid: 'v', name: 'q' });
  const running = { podSandboxId: 'sandbox-1', state: ContainerState.CONTAINER_RUNNING };
  const container = create(ContainerSchema, {
    ...running,
    id: 'container-gateway',
    name: 'gateway',
    pid: program.pid,
  });
  await node.handlers.synchronize([stopped, stripped, onNode], [container], new AbortController().signal);
  await node.settled();
  expect(node.status().pods.map(({ name }) => name)).toEqual(['q']);
});

test('a pod ends without a word of the runtime when its network does', async () => {
  using node = await setNode();
  const netns = makeNetworkNamespace();
  await using stage = await Stage.play(node.handlers);
  await stage.runtime.call('RunPodSandbox', { pod: signedPod(node, netns) });
  await node.leaveEnded();
  expect(node.status().pods).toHaveLength(1);
  netns[Symbol.dispose]();
  await node.leaveEnded();
  expect(node.status().pods).toEqual([]);
});

test("a pod on its node's network ends with the process of its sandbox", async () => {
  using node = await setNode();
  await using sandbox = await startInPod(ofDefaultLimits);
  await using stage = await Stage.play(node.handlers);
  await stage.runtime.call('RunPodSandbox', { pod: signedPod(node, undefined, { sandboxPid: sandbox.pid }) });
  await node.leaveEnded();
  expect(node.status().pods).toHaveLength(1);
  process.kill(-sandbox.pid, 'SIGKILL');
  await sandbox.ended;
  await node.leaveEnded();
  expect(node.status().pods).toEqual([]);
});
