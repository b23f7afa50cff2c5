import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { readNofile } from '../../src/linux/rlimits.ts';
import { podIn, sysctlIn } from '../agent/node-setting.ts';
import { sectionOf } from '../agent/plans.ts';
import { containerId, sandboxId, startInPod } from '../agent/pod-program.ts';
import { makeNetworkNamespace, type NetworkNamespace } from '../linux/network-namespace.ts';
import type { Runtime } from '../nri/runtime.ts';
import {
  eventually,
  isReady,
  signer,
  startAgent,
  startRuntime,
  useAgentSetting,
  type AgentProcess,
} from './agent-process.ts';

/** What a node does to its agent: stopped, killed, started twice, without a runtime. Pods start whatever it is. */

const { kube, status } = useAgentSetting();

const start = (options?: Parameters<typeof startAgent>[1]): Promise<AgentProcess> =>
  startAgent(kube.server.kubeconfig, options);

const end = async ({ child, exited }: AgentProcess): Promise<void> => {
  child.kill('SIGKILL');
  await exited;
};

interface Pod {
  readonly netns: NetworkNamespace;
  readonly pid: number;
  readonly number?: number;
  readonly section?: Parameters<typeof sectionOf>[0];
}

const described = ({ netns, pid, number = 1, section }: Pod) => {
  const id = `${sandboxId}-${number}`;
  const pod = { ...podIn(netns, signer.annotationOf(sectionOf(section)), pid), id, uid: `uid-${number}` };
  const container = { id: `${containerId}-${number}`, podSandboxId: id, name: 'gateway' };
  return { pod, container, started: { ...container, pid } };
};

const programOf = (number = 1) => startInPod('ulimit -Sn 1024', [`${sandboxId}-${number}`, `${containerId}-${number}`]);

/** All that the runtime tells of a pod's start, one after the other; gives what each call failed with. */
async function startPod(runtime: Runtime, made: Pod): Promise<readonly (string | undefined)[]> {
  const { pod, container, started } = described(made);
  const calls = [
    ['RunPodSandbox', { pod }],
    ['CreateContainer', { pod, container }],
    ['PostStartContainer', { pod, container: started }],
  ] as const;
  const errors: (string | undefined)[] = [];
  for (const [method, parameters] of calls) errors.push((await runtime.call(method, parameters)).error);
  return errors;
}

const nothingFailed = [undefined, undefined, undefined];

test('of two agents of one node the second waits, and takes over when the first is killed', async () => {
  using netns = makeNetworkNamespace();
  await using main = await programOf();
  const first = await start();
  const runtime = await startRuntime(first);
  const second = await start({ socketPath: first.socketPath });
  await eventually(async () =>
    expect(await second.ready()).toBe(
      'not registered with the container runtime: another agent of this node is still there\n',
    ),
  );
  expect(await startPod(runtime, { netns, pid: main.pid })).toEqual(nothingFailed);
  const pods = [{ reason: 'AppliedLate' }];
  await eventually(async () => expect(await status()).toMatchObject({ agent: { connected: true }, pods }));

  await end(first);

  await isReady(second);
  await eventually(async () => expect(await status()).toMatchObject({ agent: { connected: true }, pods }));
  expect((await status()).agent).not.toHaveProperty('message');
}, 60_000);

test('an agent that is stopped while pods start holds none up; when it goes on it repairs them and calls them late', async () => {
  using netns = makeNetworkNamespace();
  using other = makeNetworkNamespace();
  await using main = await programOf(1);
  await using second = await programOf(2);
  const agent = await start();
  const runtime = await startRuntime(agent);
  agent.child.kill('SIGSTOP');

  // The runtime waits for its first question 2 s, and asks no more.
  const ofSysctlsAlone = { netns: other, pid: second.pid, number: 2, section: { containers: [] } };
  expect(await startPod(runtime, ofSysctlsAlone)).toEqual(nothingFailed);
  expect(await startPod(runtime, { netns, pid: main.pid })).toEqual(nothingFailed);
  expect([sysctlIn(netns, 'net.core.somaxconn'), readNofile(main.pid).soft]).toEqual(['4096', 1024]);

  agent.child.kill('SIGCONT');
  await eventually(async () =>
    expect((await status()).pods).toMatchObject([
      { uid: 'uid-1', reason: 'AppliedLate' },
      { uid: 'uid-2', reason: 'AppliedLate' },
    ]),
  );
  expect([sysctlIn(netns, 'net.core.somaxconn'), readNofile(main.pid).soft]).toEqual(['5499', 8039]);
  expect(await agent.metrics()).toMatch(/^connectionbudget_agent_errors_total\{kind="ConnectionLost"\} [1-9]/m);
  await isReady(agent);
}, 60_000);

test('an agent that is killed again and again, wherever it is in its work, leaves every pod as planned', async () => {
  await using stack = new AsyncDisposableStack();
  let agent = await start();
  const { socketPath } = agent;
  const runtime = await startRuntime(agent);
  const pods: Pod[] = [];
  // From before the first answer to after the last one: they take 5 to 20 ms.
  for (const [number, killAfterMs] of [0, 1, 2, 4, 8, 16, 32].entries()) {
    const netns = stack.use(makeNetworkNamespace());
    const pid = stack.use(await programOf(number)).pid;
    pods.push({ netns, pid, number });
    const started = startPod(runtime, { netns, pid, number });
    await sleep(killAfterMs);
    await end(agent);
    expect(await started).toEqual(nothingFailed);
    agent = await start({ socketPath });
    await isReady(agent);
  }
  await eventually(async () =>
    expect((await status()).pods.map(({ verified }) => verified)).toEqual(pods.map(() => true)),
  );
  expect(pods.map(({ netns }) => sysctlIn(netns, 'net.core.somaxconn'))).toEqual(pods.map(() => '5499'));
  expect(pods.map(({ pid }) => readNofile(pid).soft)).toEqual(pods.map(() => 8039));
}, 120_000);

test('where no runtime listens, the status says so before a pod is there', async () => {
  const agent = await start();
  await eventually(async () => expect(await agent.ready()).toContain(`no runtime listens at ${agent.socketPath}`));
  const message = `no runtime listens at ${agent.socketPath}`;
  await eventually(async () =>
    expect((await status()).agent).toMatchObject({ connected: false, runtime: '', message }),
  );
}, 40_000);

test('an agent whose socket folder was removed under its mount ends, for a new container to see the new one', async () => {
  let source = '';
  const wrapper = (socketFolder: string): readonly string[] => {
    source = `${socketFolder}-of-node`;
    const mount = `mkdir '${source}' && mount --bind '${source}' '${socketFolder}' && exec "$@"`;
    return ['unshare', '--mount', 'sh', '-ec', mount, 'sh'];
  };
  const agent = await start({ wrapper });
  await eventually(async () => expect(await agent.ready()).toContain('no runtime listens'));
  expect(agent.child.exitCode).toBeNull();

  await rm(source, { recursive: true });

  await agent.exited;
  expect(agent.child.exitCode).toBe(1);
}, 40_000);
