import { isDeepStrictEqual } from 'node:util';
import type { BudgetUsage } from '../api/budget-status.ts';
import type { FlowReport } from '../api/connection-node.ts';
import type { PodState } from './planned.ts';
import type { PreviousStatus } from './stored-status.ts';

/** What the agents saw of a budget's running pods last; undefined: nobody has counted yet. */
export interface UsageNow {
  /** In the fullest pod, in sockets. */
  readonly fullestPod: number | undefined;
  readonly allPods: number | undefined;
  /** Of the fullest process of any pod, in percent of its soft limit. */
  readonly descriptorsPercent: number | undefined;
  /** Of each flow by name, what the pod with the most of it has; a flow that nobody could count is not there. */
  readonly flows: ReadonlyMap<string, number>;
}

const largest = (values: readonly number[]): number | undefined =>
  values.length === 0 ? undefined : Math.max(...values);

/** Of the flows only those of the spec: a pod that is older than it tells of others. */
export const usageNowOf = (
  states: readonly Pick<PodState, 'report'>[],
  flowNames: ReadonlySet<string> = new Set(),
): UsageNow => {
  const connections = states.flatMap(({ report }) => report?.connections ?? []);
  return {
    fullestPod: largest(connections),
    allPods: connections.length === 0 ? undefined : connections.reduce((sum, count) => sum + count, 0),
    descriptorsPercent: largest(states.flatMap(({ report }) => report?.usedPercent ?? [])),
    flows: fullestFlows(states.flatMap(({ report }) => report?.flows?.filter(({ name }) => flowNames.has(name)) ?? [])),
  };
};

const fullestFlows = (flows: readonly FlowReport[]): ReadonlyMap<string, number> => {
  const fullest = new Map<string, number>();
  for (const { name, connections } of flows) fullest.set(name, Math.max(fullest.get(name) ?? 0, connections));
  return fullest;
};

type Peaks = Omit<BudgetUsage, 'peakTime'>;

const higher = (before: number | undefined, now: number | undefined): number | undefined =>
  largest([before, now].filter((value) => value !== undefined));

const flowPeaks = (before: Peaks['flows'] = [], now: UsageNow['flows']): Pick<Peaks, 'flows'> => {
  const peaks = new Map(before.map(({ name, peakConnections }) => [name, peakConnections]));
  for (const [name, connections] of now) peaks.set(name, Math.max(peaks.get(name) ?? 0, connections));
  const flows = [...peaks].map(([name, peakConnections]) => ({ name, peakConnections }));
  return flows.length === 0 ? {} : { flows: flows.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
};

const peaksFor = (before: Peaks | undefined, { fullestPod, descriptorsPercent, flows }: UsageNow): Peaks => {
  const peakConnections = higher(before?.peakConnections, fullestPod);
  const peakDescriptorsPercent = higher(before?.peakDescriptorsPercent, descriptorsPercent);
  return {
    ...(peakConnections === undefined ? {} : { peakConnections }),
    ...(peakDescriptorsPercent === undefined ? {} : { peakDescriptorsPercent }),
    ...flowPeaks(before?.flows, flows),
  };
};

/** As the agents do: a peak that goes on rising is written again no sooner. */
const writtenEveryMs = 30_000;

export interface PeakUsage {
  readonly usage?: BudgetUsage;
  /** When a peak that was seen may be written; undefined: there is none that is not. */
  readonly againAfterMs?: number;
}

interface Timing {
  readonly generation: number;
  readonly previous: PreviousStatus | undefined;
  readonly now: Date;
}

/** The peaks since the spec was changed last: docs/decisions/0048-the-peak-is-in-the-status.md. */
export const peakUsageFor = (usageNow: UsageNow, { generation, previous, now }: Timing): PeakUsage => {
  const before = previous?.observedGeneration === generation ? previous.usage : undefined;
  const peaks = peaksFor(before, usageNow);
  const { peakTime, ...peaksBefore } = before ?? { peakTime: '' };
  if (isDeepStrictEqual(peaks, peaksBefore)) return before === undefined ? {} : { usage: before };
  const waitMs = before === undefined ? 0 : Date.parse(peakTime) + writtenEveryMs - now.getTime();
  if (before !== undefined && waitMs > 0) return { usage: before, againAfterMs: waitMs };
  return { usage: { ...peaks, peakTime: `${now.toISOString().slice(0, 19)}Z` } };
};
