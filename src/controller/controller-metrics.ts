import { kubeErrorKinds } from '../kube/kube-error.ts';
import type { WorkQueue } from '../kube/work-queue.ts';
import type { Metrics } from '../observability/metrics.ts';
import { type BudgetFigures, createBudgetMetrics } from './budget-metrics.ts';

const errorKinds = [...kubeErrorKinds, 'Internal'];

export type QueueView = Pick<WorkQueue, 'waiting' | 'oldestMs' | 'failing'>;

export interface ControllerMetrics {
  readonly reconciled: (result: 'Written' | 'Unchanged' | 'Failed', seconds: number) => void;
  readonly failed: (kind: string) => void;
  readonly eventFailed: (kind: string) => void;
  readonly leading: (queue: QueueView) => void;
  /** What only a leader knows is 0 or absent where nobody leads, so that the sum over the replicas is right. */
  readonly retired: () => void;
  /** What was decided about a budget. */
  readonly budgetSeen: (key: string, figures: BudgetFigures) => void;
  readonly budgetGone: (key: string) => void;
}

export const controllerMetrics = (metrics: Metrics): ControllerMetrics => {
  const reconcileSeconds = metrics.histogram({
    name: 'connectionbudget_reconcile_duration_seconds',
    help: 'Time to decide over one budget and to write its status.',
    labels: { result: ['Written', 'Unchanged', 'Failed'] },
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10],
  });
  const leads = metrics.gauge({
    name: 'connectionbudget_leader_info',
    help: '1 while this replica leads and writes.',
    labels: {},
  });
  const budgets = createBudgetMetrics(metrics);
  const queue = observedQueue(metrics);
  return {
    reconciled: (result, seconds) => reconcileSeconds({ result }, seconds),
    ...failureMetrics(metrics),
    leading: (view) => {
      leads({}, 1);
      queue.view = view;
    },
    retired: () => {
      leads({}, 0);
      queue.view = undefined;
      budgets.retired();
    },
    budgetSeen: budgets.seen,
    budgetGone: budgets.gone,
  };
};

const queueGauges: readonly {
  readonly name: string;
  readonly help: string;
  readonly read: (queue: QueueView) => number;
}[] = [
  { name: 'connectionbudget_queue_budgets', help: 'Budgets that wait.', read: (queue) => queue.waiting() },
  {
    name: 'connectionbudget_queue_oldest_seconds',
    help: 'How long the first of them waits.',
    read: (queue) => queue.oldestMs() / 1000,
  },
  {
    name: 'connectionbudget_queue_retrying_budgets',
    help: 'Budgets whose last reconciliation failed; each is tried again, later and later.',
    read: (queue) => queue.failing(),
  },
];

/** The leader's queue, looked at when somebody asks. */
const observedQueue = (metrics: Metrics): { view: QueueView | undefined } => {
  const queue: { view: QueueView | undefined } = { view: undefined };
  for (const { name, help, read } of queueGauges)
    metrics.observedGauge({ name, help, labels: {} }, () => [
      { labels: {}, value: queue.view === undefined ? 0 : read(queue.view) },
    ]);
  return queue;
};

const failureMetrics = (metrics: Metrics): Pick<ControllerMetrics, 'failed' | 'eventFailed'> => {
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
  return {
    failed: (kind) => failures({ kind }),
    eventFailed: (kind) => eventFailures({ kind }),
  };
};
