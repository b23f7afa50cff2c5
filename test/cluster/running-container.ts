import type { Cluster } from './lab/cluster.ts';
import { run } from './lab/command.ts';

/** A container that runs, as containerd knows it; `pid` is that of its first process on this machine. */
export interface RunningContainer {
  readonly id: string;
  readonly pid: string;
}

export const containerd = (cluster: Cluster, args: readonly string[], signal: AbortSignal): Promise<string> =>
  run(cluster.paths('ctr'), ['-a', cluster.containerdAddress, '-n', 'k8s.io', ...args], { signal });

type Labels = Readonly<Record<string, string>>;

/** By labels that the kubelet gives each container, of which `io.kubernetes.` is left out: "pod.namespace", "container.name". */
export const runningContainers = async (
  cluster: Cluster,
  labels: Labels,
  signal: AbortSignal,
): Promise<readonly RunningContainer[]> => {
  const filter = Object.entries(labels).map(([name, value]) => `labels."io.kubernetes.${name}"==${value}`);
  const listed = await containerd(cluster, ['containers', 'ls', '-q', filter.join(',')], signal);
  const tasks = await containerd(cluster, ['tasks', 'ls'], signal);
  const ids = listed.split('\n').filter((id) => id !== '');
  return ids.flatMap((id) => {
    const pid = new RegExp(`^${id}\\s+(\\d+)\\s+RUNNING`, 'm').exec(tasks)?.[1];
    return pid === undefined ? [] : [{ id, pid }];
  });
};

export const runningContainer = async (
  cluster: Cluster,
  labels: Labels,
  signal: AbortSignal,
): Promise<RunningContainer> => {
  const [first] = await runningContainers(cluster, labels, signal);
  if (first === undefined) throw new Error(`no container runs with ${JSON.stringify(labels)}`);
  return first;
};
