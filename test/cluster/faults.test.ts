import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { readNofile } from '../../src/linux/rlimits.ts';
import {
  killAgent,
  killContainer,
  pidsOf,
  planned,
  plannedDescriptors,
  probe,
  replaceAgent,
  restartsOf,
  whileGone,
  whileStopped,
  whileWithoutNri,
} from './fault-actions.ts';
import { kubectl } from './lab/cluster.ts';
import { probeReference } from './lab/images.ts';
import { findDaemon, restartDaemon } from './lab/process.ts';
import {
  agentConnected,
  condition,
  conditionMessages,
  eventually,
  nodeStatus,
  podReport,
  scaleController,
  softNofileOf,
} from './operator-questions.ts';
import { progress, useClusterWithOperator } from './operator-setting.ts';
import { containerd, runningContainer } from './running-container.ts';
import { applySpec } from './spread-questions.ts';

/** Faults that a node and an operator must take; the installation is by deploy/install.yaml. */

const { signal } = progress;
const cluster = useClusterWithOperator({ by: 'Manifests' });

const reported = (app: string, reason: string): Promise<unknown> =>
  eventually(`${app} is ${reason}`, async () => (await podReport(cluster(), app))?.reason === reason);

const repaired = (app: string): Promise<unknown> =>
  eventually('the limits are repaired', async () => (await softNofileOf(cluster(), app)) === plannedDescriptors);

test('an agent that is killed comes back, and pods that started meanwhile are repaired', async () => {
  await planned(cluster(), 'orphan');
  await killAgent(cluster());
  await probe(cluster(), 'orphan');

  await agentConnected(cluster());
  await repaired('orphan');
  await eventually('the pod is verified', async () => (await podReport(cluster(), 'orphan'))?.verified);
  await planned(cluster(), 'after-agent');
  await probe(cluster(), 'after-agent');
  expect(await softNofileOf(cluster(), 'after-agent')).toBe(plannedDescriptors);
}, 180_000);

test('an agent that is killed between a sandbox and its container gives the container its limits when it is back', async () => {
  await planned(cluster(), 'halfway');
  const late = 'connection-budget.test/connprobe:late';
  const readinessProbe = { httpGet: { path: '/readyz', port: 8081 }, periodSeconds: 1 };
  const args = ['listen', '7000', '1', '16384'];
  const containers = [{ name: 'program', image: late, imagePullPolicy: 'Never', args, readinessProbe }];
  const started = probe(cluster(), 'halfway', { containers });
  await reported('halfway', 'Pending');

  await replaceAgent(cluster());
  await containerd(cluster(), ['images', 'tag', probeReference, late], signal);

  await started;
  expect(await softNofileOf(cluster(), 'halfway')).toBe(plannedDescriptors);
  await reported('halfway', 'Applied');
}, 180_000);

test('an agent that is stopped holds no pod up, and repairs what it has missed when it goes on', async () => {
  await planned(cluster(), 'frozen');
  await whileStopped(await pidsOf(cluster(), 'agent'), async () => {
    await probe(cluster(), 'frozen');
    expect(await softNofileOf(cluster(), 'frozen')).toBe(1024);
  });

  await repaired('frozen');
  await reported('frozen', 'AppliedLate');
  await condition(cluster(), 'frozen', 'Verified True AppliedLate');
  await agentConnected(cluster());
}, 180_000);

test('a runtime that is restarted gets its plugin back', async () => {
  await restartDaemon(cluster().dir, 'containerd');
  await agentConnected(cluster());
  await planned(cluster(), 'after-runtime');
  await eventually('a pod starts with its limits', async () => {
    await kubectl(cluster(), ['delete', 'pod', 'after-runtime', '-n', 'planned', '--ignore-not-found', '--now'], {
      signal,
    });
    await probe(cluster(), 'after-runtime');
    const report = await eventually('its agent has looked', async () => {
      const seen = await podReport(cluster(), 'after-runtime');
      return seen?.reason === 'Pending' ? undefined : seen;
    });
    return report.reason === 'Applied';
  });
  expect(await softNofileOf(cluster(), 'after-runtime')).toBe(plannedDescriptors);
}, 240_000);

test('a node whose runtime has NRI turned off says so, before a pod and of each; its pods start', async () => {
  const why = 'no runtime listens at /var/run/nri/nri.sock';
  await planned(cluster(), 'unserved');
  await whileWithoutNri(cluster(), async () => {
    await eventually('the node says so', async () => (await nodeStatus(cluster())).agent.message === why);
    expect((await nodeStatus(cluster())).agent.connected).toBe(false);
    await probe(cluster(), 'unserved');
    expect(await softNofileOf(cluster(), 'unserved')).toBe(1024);
    await condition(cluster(), 'unserved', 'Ready False AgentAbsent');
    expect((await conditionMessages(cluster(), 'planned', 'unserved'))['Verified']).toContain(why);
  });

  await repaired('unserved');
  await condition(cluster(), 'unserved', 'Verified True AppliedLate');
}, 240_000);

test('a kubelet that is restarted starts pods with their limits, and leaves those that run', async () => {
  await planned(cluster(), 'after-kubelet');
  await restartDaemon(cluster().dir, 'kubelet');
  await probe(cluster(), 'after-kubelet');
  expect(await softNofileOf(cluster(), 'after-kubelet')).toBe(plannedDescriptors);
  await reported('after-kubelet', 'Applied');
  expect((await podReport(cluster(), 'after-runtime'))?.verified).toBe(true);
}, 180_000);

test('where the Pod Security level is too old for a sysctl, the agent sets it, and the pod is admitted', async () => {
  const level = 'pod-security.kubernetes.io/enforce';
  const label = (...labels: readonly string[]): Promise<string> =>
    kubectl(cluster(), ['label', 'namespace', 'planned', ...labels], { signal });
  const destination = { addresses: { ips: ['198.51.100.7'], ports: [7000] } };
  await applySpec(cluster(), 'older', {
    containers: [{ name: 'program', processes: 8 }],
    outbound: [{ name: 'out', connections: 60_000, destination }],
  });
  await label(`${level}=baseline`, `${level}-version=v1.24`);
  await probe(cluster(), 'older');
  await label(`${level}-`, `${level}-version-`);

  const pod = await kubectl(cluster(), ['get', 'pod', 'older', '-n', 'planned', '-o', 'json'], { signal });
  expect(pod).toContain('net.ipv4.ip_local_port_range');
  expect(pod).not.toContain('"name": "net.ipv4.ip_local_reserved_ports"');
  await reported('older', 'Applied');
}, 120_000);

test('a pod that its kubelet refuses for a sysctl set by hand is told of, with what the kubelet says', async () => {
  await planned(cluster(), 'refused');
  const sysctls = [{ name: 'net.core.somaxconn', value: '1024' }];
  const spec = { containers: [{ name: 'program', image: probeReference }], securityContext: { sysctls } };
  const metadata = { name: 'refused', namespace: 'planned', labels: { app: 'refused' } };
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata, spec });
  await kubectl(cluster(), ['apply', '-f', '-'], { signal, input });

  await condition(cluster(), 'refused', 'Applied False PodsRefused');
  expect((await conditionMessages(cluster(), 'planned', 'refused'))['Applied']).toContain(
    'forbidden sysctl: "net.core.somaxconn"',
  );
}, 90_000);

test('without the webhook pods start as Kubernetes starts them, and the budget says so', async () => {
  await planned(cluster(), 'unpatched');
  await scaleController(cluster(), 0);
  await probe(cluster(), 'unpatched');
  expect(await softNofileOf(cluster(), 'unpatched')).toBe(1024);

  await scaleController(cluster(), 2);
  await condition(cluster(), 'unpatched', 'Applied False PodsOutdated');
}, 240_000);

test('a webhook whose replicas are all stopped holds a pod up no longer than its 2 s, and the budget says so', async () => {
  const rollout = ['rollout', 'status', 'deployment/connectionbudget-controller', '-n', 'connectionbudget-system'];
  await kubectl(cluster(), [...rollout, '--timeout=60s'], { signal });
  await eventually('the webhook answers', async () => {
    await planned(cluster(), 'stalled');
    return true;
  });
  await whileStopped(await pidsOf(cluster(), 'controller'), async () => {
    const before = performance.now();
    await probe(cluster(), 'stalled');
    // Twice 2 s where another webhook changes the pod; the rest is its start.
    expect(performance.now() - before).toBeLessThan(15_000);
    expect(await softNofileOf(cluster(), 'stalled')).toBe(1024);
  });
  await condition(cluster(), 'stalled', 'Applied False PodsOutdated');
}, 180_000);

test('while the API server is gone a container that starts anew gets its limits, and what was seen is told later', async () => {
  await planned(cluster(), 'survivor');
  await probe(cluster(), 'survivor');
  const before = await restartsOf(cluster());
  const labels = { 'pod.name': 'survivor', 'container.name': 'program' };
  const { id: first } = await runningContainer(cluster(), labels, signal);
  await whileGone(cluster(), 'kube-apiserver', async () => {
    await killContainer(cluster(), labels);
    const { pid } = await eventually('the container is started anew', async () => {
      const running = await runningContainer(cluster(), labels, signal);
      return running.id === first ? undefined : running;
    });
    expect(readNofile(Number(pid)).soft).toBe(plannedDescriptors);
  });

  await planned(cluster(), 'after-api-server');
  await probe(cluster(), 'after-api-server');
  await condition(cluster(), 'after-api-server', 'Verified True AllPodsVerified');
  await condition(cluster(), 'survivor', 'Verified True AllPodsVerified');
  expect(await restartsOf(cluster())).toBe(before);
}, 240_000);

test('an etcd that stands still for 20 s restarts no part of it', async () => {
  await planned(cluster(), 'patient');
  const before = await restartsOf(cluster());
  await whileStopped([findDaemon(cluster().dir, 'etcd')?.pid ?? 0], () => sleep(20_000));

  await probe(cluster(), 'patient');
  expect(await softNofileOf(cluster(), 'patient')).toBe(plannedDescriptors);
  await condition(cluster(), 'patient', 'Verified True AllPodsVerified');
  expect(await restartsOf(cluster())).toBe(before);
}, 180_000);
