import { expect, test } from 'vitest';
import { kubectl } from './lab/cluster.ts';
import { restartDaemon } from './lab/process.ts';
import {
  agentConnected,
  conditions,
  eventually,
  podReport,
  scaleController,
  softNofileOf,
} from './operator-questions.ts';
import { applyBudget, progress, startProbe, useClusterWithOperator } from './operator-setting.ts';
import { containerd, runningContainer } from './running-container.ts';

/** Faults that a node and an operator must take; the installation is by deploy/install.yaml. */

const { signal } = progress;
const cluster = useClusterWithOperator({ by: 'Manifests' });

const killAgent = async (): Promise<void> => {
  const { id } = await runningContainer(cluster(), { 'container.name': 'agent' }, signal);
  await containerd(cluster(), ['tasks', 'kill', '-s', 'SIGKILL', id], signal);
};

/** 5,000 connections, so 5,064 descriptors. */
const planned = async (app: string): Promise<void> => {
  await applyBudget(cluster(), { namespace: 'planned', app, connections: 5000 });
  await eventually(
    'the operator knows the budget',
    async () => 'Feasible' in (await conditions(cluster(), 'planned', app)),
  );
};

const probe = (app: string): Promise<void> =>
  startProbe(cluster(), { namespace: 'planned', app, args: ['listen', '7000', '1', '16384'] });

test('an agent that is killed comes back, and pods that started meanwhile are repaired', async () => {
  await planned('orphan');
  await killAgent();
  await probe('orphan');

  await agentConnected(cluster());
  await eventually('the limits are repaired', async () => (await softNofileOf(cluster(), 'orphan')) === 5064);
  await eventually('the pod is verified', async () => (await podReport(cluster(), 'orphan'))?.verified);
  await planned('after-agent');
  await probe('after-agent');
  expect(await softNofileOf(cluster(), 'after-agent')).toBe(5064);
}, 180_000);

test('a runtime that is restarted gets its plugin back', async () => {
  await restartDaemon(cluster().dir, 'containerd');
  await agentConnected(cluster());
  await planned('after-runtime');
  await eventually('a pod starts with its limits', async () => {
    await kubectl(cluster(), ['delete', 'pod', 'after-runtime', '-n', 'planned', '--ignore-not-found', '--now'], {
      signal,
    });
    await probe('after-runtime');
    return (await podReport(cluster(), 'after-runtime'))?.reason === 'Applied';
  });
  expect(await softNofileOf(cluster(), 'after-runtime')).toBe(5064);
}, 240_000);

test('without the webhook pods start as Kubernetes starts them, and the budget says so', async () => {
  await planned('unpatched');
  await scaleController(cluster(), 0);
  await probe('unpatched');
  expect(await softNofileOf(cluster(), 'unpatched')).toBe(1024);

  await scaleController(cluster(), 2);
  await eventually(
    'the budget says so',
    async () => (await conditions(cluster(), 'planned', 'unpatched'))['Applied'] === 'False PodsOutdated',
  );
}, 240_000);
