import { expect, test } from 'vitest';
import { readNofile } from '../../src/linux/rlimits.ts';
import { runModule } from '../linux/child-program.ts';
import { Stage } from '../nri/stage.ts';
import { containerOf, setNode, signedPod } from './node-setting.ts';
import { startInPod } from './pod-program.ts';

/** What the runtime has told of a process may be of another one by the time that the agent looks. */

test('a container whose pid is that of another container by now is left alone, and so is that process', async () => {
  using node = await setNode();
  await using stranger = await startInPod('ulimit -Sn 1024', ['sandbox-2', 'container-other']);
  await using stage = await Stage.play(node.handlers);
  const pod = signedPod(node, undefined, { sysctls: {}, sandboxPid: stranger.pid });
  await stage.runtime.call('RunPodSandbox', { pod });
  await stage.runtime.call('PostStartContainer', { pod, container: containerOf(stranger.pid) });
  await node.settled();
  await node.verifier.verifyAll(new AbortController().signal);
  expect(readNofile(stranger.pid).soft).toBe(1024);
  expect(node.errors).toEqual([]);
  expect(node.status().pods).toMatchObject([{ reason: 'Pending', verified: false }]);
});

test("once another process has the pid that a network namespace went by, that process's namespace is left alone", () => {
  const outcome = runModule('../agent/netns-reuse-program.ts', [], ['unshare', '--pid', '--fork', '--mount-proc']);
  expect(outcome).toEqual({ own: '5499', foreign: '4096' });
});
