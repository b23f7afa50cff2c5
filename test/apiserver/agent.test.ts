import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AddressInfo, createServer } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { agentsMetrics } from '../../deploy/metrics-reference.ts';
import { createConnectionNodeWriter } from '../../src/kube/connection-node.ts';
import { readNofile } from '../../src/linux/rlimits.ts';
import { podIn, sysctlIn } from '../agent/node-setting.ts';
import { makeSigner, sectionOf } from '../agent/plans.ts';
import { startInPod } from '../agent/pod-program.ts';
import { makeNetworkNamespace } from '../linux/network-namespace.ts';
import {
  type AgentProcess,
  connectionNodes,
  eventually,
  nodeName,
  signer,
  startAgent,
  startRuntime,
  useAgentSetting,
} from './agent-process.ts';
import { call } from './kube-setting.ts';

const { kube: setting, status } = useAgentSetting();

const resourceVersion = async (): Promise<string | undefined> =>
  (await setting.direct.get({ resource: connectionNodes, name: nodeName }, call)).metadata?.resourceVersion;

test('a pod is set up, seen and published; the last word of an agent is that it is gone', async () => {
  using netns = makeNetworkNamespace();
  await using main = await startInPod('ulimit -Sn 1024');
  const agent = await startAgent(setting.server.kubeconfig);
  const runtime = await startRuntime(agent);
  const nrOpen = Number(await readFile('/proc/sys/fs/nr_open', 'utf8'));
  await eventually(async () => {
    const { facts, agent: reported } = await status();
    expect(facts).toMatchObject({ nrOpen, settableNofile: expect.any(Number) });
    expect(reported).toMatchObject({ connected: true, runtime: 'containerd v2.3.4', keyIds: ['key-1'] });
  });

  const pod = podIn(netns, signer.annotationOf(sectionOf()), main.pid);
  await runtime.call('RunPodSandbox', { pod });
  expect(sysctlIn(netns, 'net.core.somaxconn')).toBe('5499');
  const created = { id: 'container-gateway', podSandboxId: 'sandbox-1', name: 'gateway' };
  const { adjust } = await runtime.call('CreateContainer', { pod, container: created });
  expect(adjust).toMatchObject({ rlimits: [{ type: 'RLIMIT_NOFILE', soft: '8039' }] });
  // No runtime here that would set it: what is missing is raised after the start.
  await runtime.call('PostStartContainer', { pod, container: { ...created, pid: main.pid } });
  await eventually(async () => {
    expect((await status()).pods).toMatchObject([{ name: 'gateway-0', budget: 'gateway', reason: 'AppliedLate' }]);
  });
  expect(readNofile(main.pid).soft).toBe(8039);
  expect((await status()).facts.runtimeNofile?.soft).toBe(1024);
  const text = await agent.metrics();
  expect(text).toMatch(/^connectionbudget_planned_pods\{reason="AppliedLate"\} 1$/m);
  expect(text).toMatch(/^connectionbudget_late_repairs_total\{part="Limits"\} 1$/m);
  expect(text).toMatch(/^connectionbudget_runtime_registrations_total 1$/m);
  expect(text).toMatch(/^connectionbudget_runtime_event_duration_seconds_count\{event="createContainer"\} 1$/m);
  const exported = [...text.matchAll(/^# TYPE (connectionbudget_\w+) /gm)].map(([, name = '']) => name);
  expect(exported.toSorted()).toEqual(
    agentsMetrics()
      .map(({ name }) => name)
      .toSorted(),
  );

  agent.child.kill('SIGTERM');
  await once(agent.child, 'exit');
  expect(agent.child.exitCode).toBe(0);
  const last = await status();
  expect(last.agent).toMatchObject({ connected: false, runtime: '' });
  expect(last.pods).toHaveLength(1);
});

test('nothing is written while nothing changes', async () => {
  const agent = await startAgent(setting.server.kubeconfig);
  await startRuntime(agent);
  await eventually(async () => expect((await status()).agent?.connected).toBe(true));
  const before = await resourceVersion();
  await new Promise((resolve) => setTimeout(resolve, 20_000));
  expect(await resourceVersion()).toBe(before);
  expect(await agent.metrics()).toMatch(/^connectionbudget_status_writes_total\{outcome="Written"\} [12]$/m);
});

test('without an API server pods are set up all the same', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'agent-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const nowhere = join(folder, 'kubeconfig');
  const text = await readFile(setting.server.kubeconfig, 'utf8');
  await writeFile(nowhere, text.replace(/https:\/\/127\.0\.0\.1:\d+/, 'https://127.0.0.1:1'));
  using netns = makeNetworkNamespace();
  const agent = await startAgent(nowhere);
  const runtime = await startRuntime(agent);
  await runtime.call('RunPodSandbox', { pod: podIn(netns, signer.annotationOf(sectionOf())) });
  expect(sysctlIn(netns, 'net.core.somaxconn')).toBe('5499');
  expect(await agent.metrics()).toMatch(/^connectionbudget_planned_pods\{reason="Pending"\} 1$/m);
  await eventually(async () =>
    expect(await agent.metrics()).toMatch(/^connectionbudget_status_writes_total\{outcome="Failed"\} [1-9]/m),
  );
  expect(agent.child.exitCode).toBeNull();
});

test('a runtime that goes and comes back is found again', async () => {
  const agent = await startAgent(setting.server.kubeconfig);
  const first = await startRuntime(agent);
  await first[Symbol.asyncDispose]();
  await vi.waitFor(async () => expect(await agent.ready()).toContain('not registered'));
  await eventually(async () => expect((await status()).agent?.connected).toBe(false));
  await startRuntime(agent);
  await eventually(async () => expect((await status()).agent?.connected).toBe(true));
});

test('a pod that was late is late for ever, also for the next agent', async () => {
  using netns = makeNetworkNamespace();
  await using main = await startInPod('ulimit -Sn 1024');
  const pod = podIn(netns, signer.annotationOf(sectionOf()), main.pid);
  const container = { id: 'container-gateway', podSandboxId: 'sandbox-1', name: 'gateway', pid: main.pid };
  const start = async (): Promise<AgentProcess> => {
    const agent = await startAgent(setting.server.kubeconfig);
    const runtime = await startRuntime(agent);
    await runtime.call('RunPodSandbox', { pod });
    await runtime.call('PostStartContainer', { pod, container });
    return agent;
  };
  const first = await start();
  await eventually(async () => expect((await status()).pods).toMatchObject([{ reason: 'AppliedLate' }]));
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  const second = await start();
  const soon = { timeout: 8000, interval: 50 };
  await vi.waitFor(async () => {
    const text = await second.metrics();
    expect(text).toMatch(/^connectionbudget_status_writes_total\{outcome="Written"\} [1-9]/m);
    expect(text).toMatch(/^connectionbudget_planned_pods\{reason="AppliedLate"\} 1$/m);
  }, soon);
  await eventually(async () => expect((await status()).pods).toMatchObject([{ reason: 'AppliedLate' }]));
});

test('a key that a new pod brings to notice serves the pods from before', async () => {
  using netns = makeNetworkNamespace();
  const agent = await startAgent(setting.server.kubeconfig);
  const runtime = await startRuntime(agent);
  const next = makeSigner();
  const pod = podIn(netns, next.annotationOf(sectionOf({ keyId: 'key-2' })));
  await runtime.call('RunPodSandbox', { pod });
  await agent.publishKey('key-2', next);
  await runtime.call('RunPodSandbox', { pod: { ...pod, id: 'sandbox-2', uid: 'pod-uid-2' } });
  await eventually(async () => {
    const { pods, agent: reported } = await status();
    expect(pods).toMatchObject([{ reason: 'Pending' }, { reason: 'Pending' }]);
    expect(reported?.keyIds).toEqual(['key-1', 'key-2']);
  });
});

test('an agent that cannot have its port ends', async () => {
  const taken = createServer().listen(0);
  onTestFinished(() => void taken.close());
  await once(taken, 'listening');
  const { child } = await startAgent(setting.server.kubeconfig, {
    observabilityPort: (taken.address() as AddressInfo).port,
  });
  await once(child, 'exit');
  expect(child.exitCode).toBe(1);
});

test('that there are no keys any more is published', async () => {
  const writer = createConnectionNodeWriter({ type: 'Kubeconfig', file: setting.server.kubeconfig });
  onTestFinished(() => writer.close());
  const reported = { version: 'test', runtime: '', connected: false, canRaiseNofile: false };
  const write = (keyIds: readonly string[]): Promise<void> =>
    writer.write(nodeName, { facts: {}, agent: { ...reported, keyIds }, pods: [] }, call);
  await write(['key-1']);
  await write([]);
  expect((await status()).agent?.keyIds).toEqual([]);
});
