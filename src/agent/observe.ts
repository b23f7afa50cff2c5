import type { PlanSection } from '../api/pod-annotation.ts';
import { LinuxError } from '../linux/linux-error.ts';
import { containerProcesses, type ProcessTable, readDescriptorCount } from '../linux/proc.ts';
import { readNofile } from '../linux/rlimits.ts';
import type { SocketTotals } from '../linux/sockets.ts';
import type { Host } from './host.ts';
import type { PlannedContainer, PlannedPod } from './planned-pods.ts';

/** Coarse on purpose: each step is a write to the API server, on every node. */
const stepPercent = 5;

/** Descriptors over the limit, in steps of 5 %, rounded down: 900 of 1024 is 87.9 %, so 85. */
export function usedPercentFor(descriptors: number, soft: number): number {
  if (soft <= 0) return 100;
  return Math.min(100, Math.floor((descriptors / soft) * (100 / stepPercent)) * stepPercent);
}

/** Sockets in steps of 5 % of the descriptors that are planned for the pod: 12,345 of 20,000 planned is 12,000. */
export function steppedConnections(sockets: number, plannedDescriptors: number): number {
  const step = Math.max(1, Math.floor((plannedDescriptors * stepPercent) / 100));
  return Math.floor(sockets / step) * step;
}

interface Observation {
  readonly table: ProcessTable;
  readonly signal: AbortSignal;
}

/** How much of its plan a pod uses now, and its sockets. Throws LinuxError Gone where the pod is. */
export async function readUsage(
  pod: PlannedPod,
  host: Host,
  { table, signal }: Observation,
): Promise<Pick<PlannedPod, 'usage' | 'totals'>> {
  const containers = [...pod.containers.values()].filter(({ pid, hasStopped }) => pid > 0 && !hasStopped);
  const percents = containers.flatMap((container) => usedPercents(container, table, host));
  const totals = await readTotals(pod, host, signal);
  const connections = connectionsFor(pod, totals);
  const usage = {
    ...(percents.length === 0 ? {} : { usedPercent: Math.max(...percents) }),
    ...(connections === undefined ? {} : { connections }),
  };
  return { usage, totals };
}

function usedPercents({ pid }: PlannedContainer, table: ProcessTable, { procRoot }: Host): readonly number[] {
  return containerProcesses(table, pid, procRoot).flatMap((process) => {
    try {
      const { descriptors } = readDescriptorCount(process.pid, procRoot);
      return [usedPercentFor(descriptors, readNofile(process.pid, procRoot).soft)];
    } catch (error) {
      if (error instanceof LinuxError && error.kind === 'Gone') return [];
      throw error;
    }
  });
}

async function readTotals(pod: PlannedPod, { worker }: Host, signal: AbortSignal): Promise<SocketTotals | undefined> {
  if (pod.netnsPath === undefined || pod.plan.state === 'Rejected') return undefined;
  const [totals] = await worker.run(pod.netnsPath, [{ operation: 'ReadSocketTotals', lost: false }], signal);
  return totals.ok ? totals.value : undefined;
}

function connectionsFor({ plan }: PlannedPod, totals: SocketTotals | undefined): number | undefined {
  if (plan.state === 'Rejected' || totals?.tcpInUse === undefined) return undefined;
  return steppedConnections(totals.tcpInUse + (totals.tcp6InUse ?? 0), plannedDescriptorsOf(plan.section));
}

export const plannedDescriptorsOf = ({ containers }: PlanSection): number =>
  containers.reduce((sum, { soft }) => sum + soft, 0);
