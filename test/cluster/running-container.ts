import type { Cluster } from './lab/cluster.ts';
import { run } from './lab/command.ts';

/** A container that runs, as containerd knows it; `pid` is that of its first process on this machine. */
export interface RunningContainer {
  readonly id: string;
  readonly pid: string;
}

export const containerd = (cluster: Cluster, args: readonly string[], signal: AbortSignal): Promise<string> =>
  run(cluster.paths('ctr'), ['-a', cluster.containerdAddress, '-n', 'k8s.io', ...args], { signal });

/** By labels that the kubelet gives each container, of which `io.kubernetes.` is left out: "pod.namespace", "container.name". */
export const runningContainer = async (
  cluster: Cluster,
  labels: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<RunningContainer> => {
  const filter = Object.entries(labels).map(([name, value]) => `labels."io.kubernetes.${name}"==${value}`);
  const listed = await containerd(cluster, ['containers', 'ls', '-q', filter.join(',')], signal);
  const tasks = await containerd(cluster, ['tasks', 'ls'], signal);
  for (const id of listed.trim().split('\n')) {
    const pid = new RegExp(`^${id}\\s+(\\d+)\\s+RUNNING`, 'm').exec(tasks)?.[1];
    if (pid !== undefined) return { id, pid };
  }
  throw new Error(`no container runs with ${filter.join(',')}`);
};
