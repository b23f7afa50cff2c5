import { sleep } from '../../../src/kube/deadline.ts';
import { restartDaemon, signalDaemon } from '../../cluster/lab/process.ts';
import { type Fault, secondsText } from './fault.ts';

/** The cluster's own parts, which run as processes of this machine. */

interface Part {
  readonly name: string;
  /** Whether a pod can start without it. */
  readonly isNeeded: boolean;
  readonly longestStopMs: number;
}

/** Stopped for less than the 30 s after which a kubelet takes its runtime for dead, and the 40 s after which a node is. */
const parts: readonly Part[] = [
  { name: 'kube-apiserver', isNeeded: true, longestStopMs: 8000 },
  { name: 'etcd', isNeeded: true, longestStopMs: 12_000 },
  { name: 'kube-controller-manager', isNeeded: false, longestStopMs: 12_000 },
  { name: 'kube-scheduler', isNeeded: true, longestStopMs: 8000 },
  { name: 'kubelet', isNeeded: true, longestStopMs: 10_000 },
  { name: 'containerd', isNeeded: true, longestStopMs: 8000 },
];

const killed = ({ name, isNeeded }: Part): Fault => ({
  kind: `${name} killed`,
  stopsTheClock: isNeeded,
  inflict: async ({ cluster, signal }, random) => {
    const awayMs = random.between(0, 3000);
    signalDaemon(cluster.dir, name, 'SIGKILL');
    await sleep(awayMs, signal);
    await restartDaemon(cluster.dir, name);
    return `away for ${secondsText(awayMs)}`;
  },
});

const stopped = ({ name, isNeeded, longestStopMs }: Part): Fault => ({
  kind: `${name} stopped`,
  stopsTheClock: isNeeded,
  inflict: async ({ cluster, signal }, random) => {
    const stoppedMs = random.between(2000, longestStopMs);
    signalDaemon(cluster.dir, name, 'SIGSTOP');
    try {
      await sleep(stoppedMs, signal);
    } finally {
      signalDaemon(cluster.dir, name, 'SIGCONT');
    }
    return `for ${secondsText(stoppedMs)}`;
  },
});

const restarted = ({ name, isNeeded }: Part): Fault => ({
  kind: `${name} restarted`,
  stopsTheClock: isNeeded,
  inflict: async ({ cluster }) => {
    await restartDaemon(cluster.dir, name);
    return '';
  },
});

export const daemonFaults: readonly Fault[] = parts.flatMap((part) => [killed(part), stopped(part), restarted(part)]);
