import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { planned, plannedDescriptors, probe } from './fault-actions.ts';
import { type InstallOptions, upgradeChart } from './install-operator.ts';
import { kubectl } from './lab/cluster.ts';
import { probeReference } from './lab/images.ts';
import { agentConnected, condition, eventually, nodeStatus, podReport, softNofileOf } from './operator-questions.ts';
import { progress, useClusterWithOperator } from './operator-setting.ts';
import { containerd } from './running-container.ts';

/** Upgrade, downgrade and uninstallation, in each order that people choose: pods start all the time. */

const { signal } = progress;
const options: InstallOptions = { by: 'Chart' };
const cluster = useClusterWithOperator(options);

const ask = (...args: readonly string[]): Promise<string> => kubectl(cluster(), args, { signal });

const agents = ['daemonset', 'connectionbudget-agent', '-n', 'connectionbudget-system'];
let installed = '';

/** The image of the installation that the tests begin with. */
beforeAll(async () => {
  installed = await ask('get', ...agents, '-o', 'jsonpath={.spec.template.spec.containers[0].image}');
});

const install = (reference = installed): Promise<void> =>
  upgradeChart(cluster(), { image: { reference }, options }, progress);

/** Another pod of the budget `turn` each second until the action is over; gives how many. */
const createDuring = async (prefix: string, action: () => Promise<void>): Promise<number> => {
  const over = new AbortController();
  const acted = action().finally(() => over.abort());
  let created = 0;
  for (; !over.signal.aborted; created += 1) {
    const container = {
      name: 'program',
      image: probeReference,
      imagePullPolicy: 'Never',
      args: ['listen', '7000', '1'],
    };
    const metadata = { name: `${prefix}-${created}`, namespace: 'planned', labels: { app: 'turn', prefix } };
    const spec = { containers: [container], terminationGracePeriodSeconds: 0 };
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata, spec });
    await kubectl(cluster(), ['apply', '-f', '-'], { signal, input });
    await sleep(1000);
  }
  await acted;
  return created;
};

test.each([
  { way: 'upgrade', tag: 'next' },
  { way: 'downgrade', tag: '' },
])(
  '$way: pods that are created meanwhile all start, with their plan',
  async ({ way, tag }) => {
    await planned(cluster(), 'turn');
    const reference = tag === '' ? installed : `${installed}-${tag}`;
    if (tag !== '') await containerd(cluster(), ['images', 'tag', installed, reference], signal);

    const created = await createDuring(way, () => install(reference));

    expect(created).toBeGreaterThan(3);
    await ask('wait', '--for=condition=Ready', 'pods', '-n', 'planned', '-l', `prefix=${way}`, '--timeout=60s');
    const version = reference.slice(reference.lastIndexOf(':') + 1);
    await eventually(
      'the agent is of that version',
      async () => (await nodeStatus(cluster())).agent.version === version,
    );
    await agentConnected(cluster());
    await condition(cluster(), 'turn', 'Applied True AllPodsCurrent');
    await eventually('all are verified', async () => {
      const reports = (await nodeStatus(cluster())).pods.filter(({ name }) => name.startsWith(way));
      return reports.length === created && reports.every(({ verified }) => verified);
    });
    await ask('delete', 'pods', '-n', 'planned', '-l', `prefix=${way}`, '--now');
  },
  300_000,
);

test('with the agent away first, pods start as Kubernetes starts them, and are repaired when it is back', async () => {
  await planned(cluster(), 'agentless');
  await ask('delete', ...agents, '--wait');
  await eventually('its last word', async () => (await nodeStatus(cluster())).agent.message === 'the agent has ended');
  await probe(cluster(), 'agentless');
  expect(await softNofileOf(cluster(), 'agentless')).toBe(1024);
  await condition(cluster(), 'agentless', 'Ready False AgentAbsent');

  await install();
  await eventually('the pod is repaired', async () => (await podReport(cluster(), 'agentless'))?.verified);
}, 240_000);

test('with the CRDs away first, pods start; with them back, budgets work again and nothing was restarted', async () => {
  await ask('delete', 'crd', 'connectionbudgets.connectionbudget.io', 'connectionnodes.connectionbudget.io');
  await probe(cluster(), 'unbudgeted');
  expect(await softNofileOf(cluster(), 'unbudgeted')).toBe(1024);

  await install();
  await planned(cluster(), 'again');
  await probe(cluster(), 'again');
  expect(await softNofileOf(cluster(), 'again')).toBe(plannedDescriptors);
  await condition(cluster(), 'again', 'Verified True AllPodsVerified');
}, 240_000);

test('with the namespace away at once and the webhook configurations left, pods start and budgets can be deleted', async () => {
  await planned(cluster(), 'left');
  await ask('delete', 'namespace', 'connectionbudget-system', '--wait=false');
  await probe(cluster(), 'meanwhile');
  await ask('wait', '--for=delete', 'namespace/connectionbudget-system', '--timeout=90s');
  expect(await ask('get', 'mutatingwebhookconfigurations', '-o', 'name')).toContain('connectionbudget');

  await probe(cluster(), 'left');
  expect(await softNofileOf(cluster(), 'left')).toBe(1024);
  await ask('delete', 'connectionbudgets', '--all', '-n', 'planned');
  await ask('delete', 'namespace', 'planned', '--timeout=60s');
}, 240_000);
