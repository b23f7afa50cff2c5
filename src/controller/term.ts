import { randomUUID } from 'node:crypto';
import type { KubeClient } from '../kube/client.ts';
import type { Happening } from '../kube/event.ts';
import { isKubeError } from '../kube/kube-error.ts';
import { startWorkQueue, type WorkResult } from '../kube/work-queue.ts';
import type { Logger } from '../observability/logger.ts';
import { createWriter, regardingBudget, type Writer } from './apply.ts';
import type { ControllerMetrics, QueueView } from './controller-metrics.ts';
import { figuresOf } from './budget-metrics.ts';
import { decide, type Surveyed } from './decide.ts';
import { podWarningFor, type Transition } from './transitions.ts';

export interface TermOptions extends Surveyed {
  /** Writes only while the Lease is held. */
  readonly client: KubeClient;
  readonly identity: string;
  readonly logger: Logger;
  readonly metrics: ControllerMetrics;
  /** Fires when the term ends. */
  readonly signal: AbortSignal;
}

/** The work of the leader: from being elected to the end of the last write. */
export interface LeadersTerm {
  readonly budgetTouched: (key: string) => void;
  /** The CRD may have been upgraded. */
  readonly budgetsOpened: () => void;
  readonly nodeReported: (name: string) => void;
  readonly queue: QueueView;
  readonly ended: Promise<void>;
}

const workers = 4;

const kindOf = (error: unknown): string => (isKubeError(error) ? error.kind : 'Internal');

export const startTerm = (options: TermOptions): LeadersTerm => {
  const { signal, metrics, logger, cluster } = options;
  const term: Term = { ...options, writer: createWriter(options), told: new Map() };
  const failed = (failure: { readonly key: string; readonly error: unknown; readonly retryInMs: number }): void => {
    metrics.failed(kindOf(failure.error));
    const reconcileID = failure.error instanceof Error ? endedBy.get(failure.error) : undefined;
    logger.warn({ ...failure, reconcileID }, 'the reconciliation failed and is tried again');
  };
  const completing = completingOf(term.writer, (key) => budgetQueue.addUnhurried(key));
  const budgetQueue = startWorkQueue({
    workers,
    signal,
    failed,
    work: async (key) => {
      const result = await workOnBudget(term, key);
      completing.worked(key);
      return result;
    },
  });
  const nodeQueue = startWorkQueue({ workers: 1, signal, failed, work: (name) => workOnNode(term, name) });
  for (const key of cluster.budgetKeys()) {
    const isBehind = cluster.budget(key)?.status?.observedGeneration !== cluster.budget(key)?.generation;
    if (isBehind) budgetQueue.add(key);
    else budgetQueue.addUnhurried(key);
  }
  for (const name of cluster.connectionNodeNames()) nodeQueue.add(name);
  return {
    budgetTouched: (key) => budgetQueue.add(key),
    budgetsOpened: completing.attempt,
    nodeReported: (name) => nodeQueue.add(name),
    queue: budgetQueue,
    ended: Promise.all([budgetQueue.drained, nodeQueue.drained]).then(() => undefined),
  };
};

interface Term extends TermOptions {
  readonly writer: Writer;
  /** What was told of each node's pods, so that it is told once. */
  readonly told: Map<string, ReadonlySet<string>>;
}

/** Writes whole what was written incomplete: one status is tried, and where that succeeds the others follow. */
const completingOf = ({ incomplete }: Writer, look: (key: string) => void) => {
  let tried: string | undefined;
  return {
    attempt: () => {
      [tried] = incomplete;
      if (tried !== undefined) look(tried);
    },
    worked: (key: string) => {
      if (key !== tried) return;
      tried = undefined;
      if (!incomplete.has(key)) for (const other of incomplete) look(other);
    },
  };
};

/** Which reconciliation an error ended: it is told by the queue, with the time of the next attempt. */
const endedBy = new WeakMap<object, string>();

const workOnBudget = async (term: Term, key: string): Promise<WorkResult> => {
  const startedMs = performance.now();
  const seconds = (): number => (performance.now() - startedMs) / 1000;
  const reconcileID = randomUUID();
  try {
    const { result, again } = await reconcileBudget({ ...term, logger: term.logger.child({ reconcileID }) }, key);
    term.metrics.reconciled(result, seconds());
    return again;
  } catch (error) {
    term.metrics.reconciled('Failed', seconds());
    if (error instanceof Error) endedBy.set(error, reconcileID);
    throw error;
  }
};

interface Reconciled {
  readonly result: 'Written' | 'Unchanged';
  readonly again: WorkResult;
}

const reconcileBudget = async (term: Term, key: string): Promise<Reconciled> => {
  const { writer, cluster, logger, metrics } = term;
  const budget = cluster.budget(key);
  if (budget === undefined) {
    writer.forget(key);
    metrics.budgetGone(key);
    return { result: 'Unchanged', again: {} };
  }
  const decision = decide(term, budget, { previous: writer.storedStatus(budget), now: new Date() });
  const { status, transitions, againAfterMs } = decision;
  metrics.budgetSeen(key, figuresOf(budget, decision));
  const result = await writer.writeStatus(budget, status);
  if (result === 'Written') {
    const { namespace, name, generation } = budget;
    const ready = status.conditions.find(({ type }) => type === 'Ready')?.status;
    logger.info({ namespace, budget: name, generation, ready }, 'the status was written');
    for (const transition of transitions) await tell(term, regardingBudget(budget), transition);
  }
  return { result, again: againAfterMs === undefined ? {} : { againAfterMs } };
};

/** An Event is for people: one that cannot be written is counted and does not hold up the status. */
const tell = async (term: Term, regarding: Happening['regarding'], transition: Transition): Promise<boolean> => {
  try {
    await term.writer.tell(regarding, transition);
    return true;
  } catch (error) {
    term.metrics.eventFailed(kindOf(error));
    term.logger.warn({ error, reason: transition.reason, name: regarding.name }, 'an Event could not be written');
    return false;
  }
};

const workOnNode = async (term: Term, name: string): Promise<WorkResult> => {
  const before = term.told.get(name) ?? new Set();
  const told = new Set<string>();
  for (const report of term.cluster.connectionNode(name)?.pods ?? []) {
    const warning = podWarningFor(report);
    if (warning === undefined) continue;
    const regarding = {
      apiVersion: 'v1',
      kind: 'Pod',
      namespace: report.namespace,
      name: report.name,
      uid: report.uid,
    };
    if (before.has(warning.id) || (await tell(term, regarding, warning))) told.add(warning.id);
  }
  if (told.size === 0) term.told.delete(name);
  else term.told.set(name, told);
  return {};
};
