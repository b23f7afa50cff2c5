import type { ConditionStatus } from '../api/conditions.ts';
import { kubeErrorKinds } from '../kube/kube-error.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { CacheContents } from './caches.ts';

const readyStates = ['True', 'False', 'Unknown'] as const;
const errorKinds = [...kubeErrorKinds, 'Internal'];
const resources = [
  'connectionbudgets',
  'connectionnodes',
  'endpointslices',
  'namespaces',
  'network-attachment-definitions',
  'nodes',
  'pods',
  'services',
] as const;

export interface ControllerMetrics {
  readonly reconciled: (result: 'Written' | 'Unchanged' | 'Failed', seconds: number) => void;
  readonly failed: (kind: string) => void;
  readonly eventFailed: (kind: string) => void;
  readonly watchInterrupted: (resource: string, kind: string) => void;
  readonly queued: (keys: number) => void;
  readonly leading: () => void;
  /** What only a leader knows is 0 where nobody leads, so that the sum over the replicas is right. */
  readonly retired: () => void;
  /** A budget's status of Ready became another; undefined: there is no such budget. */
  readonly readyChanged: (before: ConditionStatus | undefined, now: ConditionStatus | undefined) => void;
}

export const controllerMetrics = (metrics: Metrics): ControllerMetrics => {
  const reconcileSeconds = metrics.histogram({
    name: 'connectionbudget_reconcile_duration_seconds',
    help: 'Time to decide over one budget and to write its status.',
    labels: { result: ['Written', 'Unchanged', 'Failed'] },
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10],
  });
  const noLabels = { labels: {} };
  const queue = metrics.gauge({ name: 'connectionbudget_queue_budgets', help: 'Budgets that wait.', ...noLabels });
  const leader = metrics.gauge({ name: 'connectionbudget_leader_info', help: '1 while it leads.', ...noLabels });
  const total = metrics.gauge({
    name: 'connectionbudget_budgets_count',
    help: 'Budgets by the status of their condition Ready.',
    labels: { ready: readyStates },
  });
  const counts = { True: 0, False: 0, Unknown: 0 };
  const counted = (state: ConditionStatus, change: number): void => {
    counts[state] += change;
    total({ ready: state }, counts[state]);
  };
  return {
    reconciled: (result, seconds) => reconcileSeconds({ result }, seconds),
    ...failureMetrics(metrics),
    queued: (keys) => queue({}, keys),
    leading: () => leader({}, 1),
    retired: () => {
      leader({}, 0);
      queue({}, 0);
      for (const state of readyStates) counted(state, -counts[state]);
    },
    readyChanged: (before, now) => {
      if (before !== undefined) counted(before, -1);
      if (now !== undefined) counted(now, 1);
    },
  };
};

const failureMetrics = (metrics: Metrics): Pick<ControllerMetrics, 'failed' | 'eventFailed' | 'watchInterrupted'> => {
  const failures = metrics.counter({
    name: 'connectionbudget_reconcile_failures_total',
    help: 'Reconciliations that failed and are tried again.',
    labels: { kind: errorKinds },
  });
  const eventFailures = metrics.counter({
    name: 'connectionbudget_event_failures_total',
    help: 'Events that could not be written.',
    labels: { kind: errorKinds },
  });
  const interruptions = metrics.counter({
    name: 'connectionbudget_watch_interruptions_total',
    help: 'Watches that broke and were started again.',
    labels: { resource: resources, kind: errorKinds },
  });
  return {
    failed: (kind) => failures({ kind }),
    eventFailed: (kind) => eventFailures({ kind }),
    watchInterrupted: (resource, kind) => interruptions({ resource, kind }),
  };
};

/** From which anybody who may list can tell whether a replica's caches equal the server (objectDigest). */
export const observeCaches = (metrics: Metrics, contents: () => readonly CacheContents[]): void => {
  const read = (value: (of: CacheContents) => number) => () =>
    contents().map((of) => ({ labels: { resource: of.resource }, value: value(of) }));
  metrics.observedGauge(
    {
      name: 'connectionbudget_watch_cache_objects',
      help: 'Objects that are held of a watched resource.',
      labels: { resource: resources },
    },
    read(({ objects }) => objects),
  );
  metrics.observedGauge(
    {
      name: 'connectionbudget_watch_cache_digest',
      help: 'Which objects of which versions are held: XOR over the 32-bit hashes of uid and resourceVersion.',
      labels: { resource: resources },
    },
    read(({ digest }) => digest),
  );
};
