import type { BudgetUsage } from '../api/budget-status.ts';
import type { PodState } from './planned.ts';
import type { PreviousStatus } from './stored-status.ts';

/** What the agents saw of a budget's running pods last; undefined: nobody has counted yet. */
export interface UsageNow {
  /** In the fullest pod, in sockets. */
  readonly fullestPod: number | undefined;
  readonly allPods: number | undefined;
  /** Of the fullest process of any pod, in percent of its soft limit. */
  readonly descriptorsPercent: number | undefined;
}

const largest = (values: readonly number[]): number | undefined =>
  values.length === 0 ? undefined : Math.max(...values);

export const usageNowOf = (states: readonly Pick<PodState, 'report'>[]): UsageNow => {
  const connections = states.flatMap(({ report }) => report?.connections ?? []);
  return {
    fullestPod: largest(connections),
    allPods: connections.length === 0 ? undefined : connections.reduce((sum, count) => sum + count, 0),
    descriptorsPercent: largest(states.flatMap(({ report }) => report?.usedPercent ?? [])),
  };
};

type Peaks = Pick<BudgetUsage, 'peakConnections' | 'peakDescriptorsPercent'>;

const higher = (before: number | undefined, now: number | undefined): number | undefined =>
  largest([before, now].filter((value) => value !== undefined));

const peaksFor = (before: Peaks | undefined, { fullestPod, descriptorsPercent }: UsageNow): Peaks => {
  const peakConnections = higher(before?.peakConnections, fullestPod);
  const peakDescriptorsPercent = higher(before?.peakDescriptorsPercent, descriptorsPercent);
  return {
    ...(peakConnections === undefined ? {} : { peakConnections }),
    ...(peakDescriptorsPercent === undefined ? {} : { peakDescriptorsPercent }),
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
  const hasRisen =
    peaks.peakConnections !== before?.peakConnections ||
    peaks.peakDescriptorsPercent !== before?.peakDescriptorsPercent;
  if (!hasRisen) return before === undefined ? {} : { usage: before };
  const waitMs = before === undefined ? 0 : Date.parse(before.peakTime) + writtenEveryMs - now.getTime();
  if (before !== undefined && waitMs > 0) return { usage: before, againAfterMs: waitMs };
  return { usage: { ...peaks, peakTime: `${now.toISOString().slice(0, 19)}Z` } };
};
