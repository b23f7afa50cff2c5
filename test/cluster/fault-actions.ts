import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cluster, kubectl } from './lab/cluster.ts';
import { findDaemon, restartDaemon, stopDaemon } from './lab/process.ts';
import { agentConnected, conditions, eventually } from './operator-questions.ts';
import { applyBudget, progress, startProbe } from './operator-setting.ts';
import { containerd, runningContainer, runningContainers } from './running-container.ts';

/** What the tests of faults do to a cluster. All pods and budgets are in namespace `planned`. */

const { signal } = progress;

/** 5,000 connections, so 5,064 descriptors. */
export const plannedDescriptors = 5064;

export const planned = async (cluster: Cluster, app: string): Promise<void> => {
  await applyBudget(cluster, { namespace: 'planned', app, connections: 5000 });
  await eventually(
    'the operator knows the budget',
    async () => 'Feasible' in (await conditions(cluster, 'planned', app)),
  );
};

export const probe = (cluster: Cluster, app: string, pod: object = {}): Promise<void> =>
  startProbe(cluster, { namespace: 'planned', app, args: ['listen', '7000', '1', '16384'], pod });

export const killContainer = async (cluster: Cluster, labels: Readonly<Record<string, string>>): Promise<void> => {
  const { id } = await runningContainer(cluster, labels, signal);
  await containerd(cluster, ['tasks', 'kill', '-s', 'SIGKILL', id], signal);
};

export const killAgent = (cluster: Cluster): Promise<void> => killContainer(cluster, { 'container.name': 'agent' });

const agentPod = ['-n', 'connectionbudget-system', '-l', 'app.kubernetes.io/component=agent'];

const agentContainer = (cluster: Cluster, field: string): Promise<string> =>
  kubectl(cluster, ['get', 'pods', ...agentPod, '-o', `jsonpath={.items[*].status.containerStatuses[0].${field}}`], {
    signal,
  });

/** Resolves when another one is ready; what the killed one has published says that it is connected. */
export const replaceAgent = async (cluster: Cluster): Promise<void> => {
  const before = await agentContainer(cluster, 'restartCount');
  await killAgent(cluster);
  await eventually('another agent is ready', async () => {
    const isAnother = (await agentContainer(cluster, 'restartCount')) !== before;
    return isAnother && (await agentContainer(cluster, 'ready')) === 'true';
  });
};

export const pidsOf = async (cluster: Cluster, containerName: string): Promise<readonly number[]> => {
  const running = await runningContainers(cluster, { 'container.name': containerName }, signal);
  return running.map(({ pid }) => Number(pid));
};

/** The processes go on afterwards, whatever comes of `action`. */
export const whileStopped = async (pids: readonly number[], action: () => Promise<void>): Promise<void> => {
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  try {
    await action();
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  }
};

/** The daemon is killed, and started again afterwards. */
export const whileGone = async (cluster: Cluster, daemon: string, action: () => Promise<void>): Promise<void> => {
  const { pid = 0 } = findDaemon(cluster.dir, daemon) ?? {};
  process.kill(pid, 'SIGKILL');
  await stopDaemon(cluster.dir, daemon);
  try {
    await action();
  } finally {
    await restartDaemon(cluster.dir, daemon);
    await eventually('the API server is ready', async () => {
      await kubectl(cluster, ['get', '--raw', '/readyz'], { signal });
      return true;
    });
  }
};

/** The runtime starts without NRI, and afterwards with it. */
export const whileWithoutNri = async (cluster: Cluster, action: () => Promise<void>): Promise<void> => {
  const file = join(cluster.dir, 'containerd.toml');
  const usual = await readFile(file, 'utf8');
  await writeFile(file, `${usual}[plugins.'io.containerd.nri.v1.nri']\n  disable = true\n`);
  await restartDaemon(cluster.dir, 'containerd');
  try {
    await action();
  } finally {
    await writeFile(file, usual);
    await restartDaemon(cluster.dir, 'containerd');
    await agentConnected(cluster);
  }
};

const system = ['-n', 'connectionbudget-system'];

/** By pod: a part that does not take a fault is restarted by its kubelet. */
export const restartsOf = async (cluster: Cluster): Promise<string> => {
  const path = 'jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[0].restartCount}{"\\n"}{end}';
  return kubectl(cluster, ['get', 'pods', ...system, '-o', path], { signal });
};
