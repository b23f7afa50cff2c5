import { startListWatch } from '../../src/kube/list-watch.ts';
import { type Pod, pods } from '../../src/kube/resources.ts';
import type { PodName } from './objects.ts';
import { isOfSoak, namespaceNames, type Soak } from './soak-setting.ts';

/** Every pod of the load from its create call to Running, and how often containers of ours and of it were started anew. */

/**
 * What a cluster without us holds too: the longest that a kubelet waits before it tries a failed sandbox again is 15 s, the
 * longest pause of a client-go reflector 30 s; the rest is for a machine that does other work.
 */
const startBoundMs = 60_000;

export interface PodStart extends PodName {
  readonly createdAtMs: number;
  /** On the clock that stands still while the cluster's own parts are away. */
  readonly startMs: number | undefined;
  /** On the real clock. */
  readonly runningAtMs: number | undefined;
  readonly isLate: boolean;
}

export interface SeenPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly phase: string;
  readonly isRunning: boolean;
  readonly isEnding: boolean;
  readonly restarts: number;
  /** Why its containers wait or have ended. */
  readonly reasons: readonly string[];
}

export interface PodStarts {
  readonly created: (pod: PodName, createdAtMs: number) => void;
  readonly starts: () => readonly PodStart[];
  /** Those of the load that are there, oldest first. */
  readonly alive: () => readonly (PodStart & { readonly seen: SeenPod | undefined })[];
  readonly deleted: (pod: Pick<PodName, 'namespace' | 'name'>) => void;
  /** Of whose creation the answer got lost. */
  readonly stray: () => readonly SeenPod[];
  /** Restarts of all containers in a namespace so far, also of pods that are gone. */
  readonly restartsIn: (namespace: string) => number;
  /** Marks the pods that are not Running within the bound, and says so of those that a budget is for. */
  readonly judge: () => void;
  readonly synced: Promise<void>;
}

const projectSeen = ({ metadata, status }: Pod): SeenPod => {
  const containers = status?.containerStatuses ?? [];
  return {
    namespace: metadata?.namespace ?? '',
    name: metadata?.name ?? '',
    uid: metadata?.uid ?? '',
    phase: status?.phase ?? '',
    isRunning: status?.phase === 'Running' && containers.every(({ state }) => state?.running !== undefined),
    isEnding: metadata?.deletionTimestamp !== undefined,
    restarts: containers.reduce((sum, { restartCount }) => sum + restartCount, 0),
    reasons: containers.flatMap(({ state }) => state?.waiting?.reason ?? state?.terminated?.reason ?? []),
  };
};

export const followPodStarts = (soak: Soak): PodStarts => {
  const { client, journal, standstill, nowMs, signal } = soak;
  const starts = new Map<string, PodStart>();
  const gone = new Set<string>();
  const restarts = new Map<string, { readonly namespace: string; readonly count: number }>();
  const seen = (key: string, pod: SeenPod): void => {
    restarts.set(pod.uid, { namespace: pod.namespace, count: pod.restarts });
    const start = starts.get(key);
    if (start === undefined) return;
    if (pod.phase === 'Failed' && !pod.isEnding) {
      gone.add(key);
      journal.violation('pod start blocked', `${key} has failed: ${pod.reasons.join(', ')}`);
    }
    if (start.startMs !== undefined || !pod.isRunning) return;
    const runningAtMs = nowMs();
    starts.set(key, { ...start, runningAtMs, startMs: standstill.elapsedMs(start.createdAtMs, runningAtMs) });
  };
  const cache = startListWatch<Pod, SeenPod>({
    client,
    resource: pods,
    project: projectSeen,
    handlers: { upserted: seen },
    backoff: { baseMs: 100, maximumMs: 1000 },
    signal,
  });
  const present = (): readonly (PodStart & { readonly seen: SeenPod | undefined })[] =>
    [...starts].filter(([key]) => !gone.has(key)).map(([key, start]) => ({ ...start, seen: cache.get(key) }));
  return {
    created: (pod, createdAtMs) => {
      const key = `${pod.namespace}/${pod.name}`;
      starts.set(key, { ...pod, createdAtMs, startMs: undefined, runningAtMs: undefined, isLate: false });
      const already = cache.get(key);
      if (already !== undefined) seen(key, already);
    },
    starts: () => [...starts.values()],
    alive: present,
    deleted: ({ namespace, name }) => gone.add(`${namespace}/${name}`),
    stray: () =>
      [...cache.values()].filter(
        ({ namespace, name, isEnding }) => isOfSoak(namespace) && !isEnding && !starts.has(`${namespace}/${name}`),
      ),
    restartsIn: (namespace) =>
      [...restarts.values()].filter((pod) => pod.namespace === namespace).reduce((sum, { count }) => sum + count, 0),
    judge: () => {
      for (const pod of present()) judgeStart(soak, starts, pod);
    },
    synced: cache.synced,
  };
};

type Present = PodStart & { readonly seen: SeenPod | undefined };

/** A pod that is late is told once. One of a namespace that nobody of ours sees is told as the machine's. */
const judgeStart = ({ journal, standstill, nowMs }: Soak, starts: Map<string, PodStart>, pod: Present): void => {
  const waitedMs = standstill.elapsedMs(pod.createdAtMs, nowMs());
  if (pod.startMs !== undefined || pod.isLate || waitedMs < startBoundMs) return;
  const key = `${pod.namespace}/${pod.name}`;
  const { seen, ...start } = pod;
  starts.set(key, { ...start, isLate: true });
  const state = seen === undefined ? 'is not there' : `is ${seen.phase} (${seen.reasons.join(', ')})`;
  if (pod.namespace === namespaceNames.plain) journal.count(`late without a webhook: ${key} ${state}`);
  else journal.violation('pod start blocked', `${key} ${state} after ${Math.round(waitedMs / 1000)} s`);
};
