import { type KubeClient, writingOnlyWhile } from '../kube/client.ts';
import type { KubeConfig } from '../kube/kube-config.ts';
import { type ElectionReport, type LeaderElection, runAsLeader, type Term } from '../kube/lease.ts';
import type { LeaseTiming } from '../kube/lease-record.ts';
import type { WatchReport } from '../kube/list-watch.ts';
import { createTurns } from '../kube/turns.ts';
import { startWorkQueue } from '../kube/work-queue.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { type Caches, startCaches } from './caches.ts';
import { type ControllerMetrics, controllerMetrics } from './controller-metrics.ts';
import { electionMetrics } from './election-metrics.ts';
import { createObservations, type Observations, type Surroundings } from './observations.ts';
import { type LeadersTerm, startTerm } from './term.ts';
import { observeCaches, type WatchMetrics, watchMetrics } from './watch-metrics.ts';

export interface ControllerOptions {
  readonly config: KubeConfig;
  readonly client: KubeClient;
  /** Where the Lease is. */
  readonly namespace: string;
  /** Who we are in the Lease and in Events, e.g. the pod's name. */
  readonly identity: string;
  readonly leaseTiming?: LeaseTiming;
  /** Of the calls for the Lease, which have a client of their own. */
  readonly answered?: LeaderElection['answered'];
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Ends the writing: the Lease is given back. */
  readonly leadSignal: AbortSignal;
  /** Ends the watching, and with it the answers; after `leadSignal`. */
  readonly signal: AbortSignal;
}

export interface Controller {
  /** Kept by every replica, for the webhook answers from it. */
  readonly surroundings: Surroundings;
  /** Resolves when the answers are whole, or the watching ended before. */
  readonly synced: Promise<void>;
  readonly watches: Caches['contents'];
  /** The API server has called: it is there. Resolves when the answers are whole again; undefined: they are, or will not be soon. */
  readonly hurry: Caches['hurry'];
  readonly isLeading: () => boolean;
  /** Resolves when the Lease was given back; rejects when leading failed of itself. */
  readonly retired: Promise<void>;
  /** Resolves when the watches have ended. */
  readonly stopped: Promise<void>;
}

const leaseName = 'connectionbudget-controller';

/** Changes that come together, such as those of a rollout, are looked at together. */
const gatherMs = 100;

interface Running {
  readonly options: ControllerOptions;
  readonly metrics: ControllerMetrics;
  readonly caches: Caches;
  readonly observations: Observations;
  term: LeadersTerm | undefined;
}

/** Observes always, and writes while it leads. */
export const startController = (options: ControllerOptions): Controller => {
  const { client, signal, logger } = options;
  const metrics = controllerMetrics(options.metrics);
  const watching = watchMetrics(options.metrics);
  const sampling = startWorkQueue({
    workers: 1,
    signal,
    work: async (key) => sample(running, key),
    failed: (failure) => logger.error(failure, 'a budget could not be observed'),
  });
  const caches = startCaches({
    client,
    signal,
    touched: (key) => sampling.add(key, { afterMs: gatherMs }),
    budgetsOpened: () => running.term?.budgetsOpened(),
    nodeReported: (name) => running.term?.nodeReported(name),
    report: (resource, report) => watchReported({ logger, metrics: watching, resource }, report),
  });
  observeCaches(options.metrics, caches.contents);
  const observations = createObservations(caches.cluster, () => Date.now());
  const running: Running = { options, metrics, caches, observations, term: undefined };
  metrics.retired();
  void caches.synced.then(() => sampleAll(running));
  return {
    surroundings: observations,
    synced: caches.synced,
    watches: caches.contents,
    hurry: caches.hurry,
    isLeading: () => running.term !== undefined,
    retired: standForElection(running),
    stopped: Promise.all([caches.stopped, sampling.drained]).then(() => undefined),
  };
};

/** Every replica remembers what it saw, so that each plans the same; the leader goes on to write. */
const sample = (running: Running, key: string): Record<string, never> => {
  const { caches, observations, term } = running;
  const budget = caches.cluster.budget(key)?.parsed.budget;
  if (budget === undefined) observations.forget(key);
  else observations.look(budget);
  term?.budgetTouched(key);
  return {};
};

/** Once, when all is listed, so that each replica remembers from then on. */
const sampleAll = async (running: Running): Promise<void> => {
  const { options, caches, observations } = running;
  const turn = createTurns();
  for (const key of caches.cluster.budgetKeys()) {
    if (options.signal.aborted) return;
    const budget = caches.cluster.budget(key)?.parsed.budget;
    try {
      if (budget !== undefined) observations.observedFor(budget);
    } catch (error) {
      options.logger.error({ key, error }, 'a budget could not be observed');
    }
    await turn();
  }
};

const standForElection = async (running: Running): Promise<void> => {
  const { config, namespace, identity, leaseTiming, answered, leadSignal, logger } = running.options;
  const count = electionMetrics(running.options.metrics);
  await runAsLeader({
    config,
    namespace,
    name: leaseName,
    identity,
    ...(leaseTiming === undefined ? {} : { timing: leaseTiming }),
    ...(answered === undefined ? {} : { answered }),
    lead: (term) => lead(running, term),
    report: (report) => {
      count(report);
      electionReported(logger, report);
    },
    signal: leadSignal,
  });
};

const lead = async (running: Running, { signal, holds }: Term): Promise<void> => {
  const { options, metrics, caches, observations } = running;
  const { identity, logger } = options;
  await caches.synced;
  const client = writingOnlyWhile(holds, options.client);
  const { cluster } = caches;
  running.term = startTerm({ client, identity, logger, metrics, cluster, observations, signal });
  metrics.leading(running.term.queue);
  try {
    await running.term.ended;
  } finally {
    running.term = undefined;
    metrics.retired();
  }
};

const electionReported = (logger: Logger, report: ElectionReport): void => {
  switch (report.type) {
    case 'Following':
      logger.debug(report, 'another replica leads');
      break;
    case 'Leading':
    case 'Released':
      logger.info(report, 'the leadership changed');
      break;
    case 'Lost':
    case 'CallFailed':
    case 'LeadFailed':
      logger.warn(report, 'the leadership is in doubt');
      break;
  }
};

interface Reporting {
  readonly logger: Logger;
  readonly metrics: WatchMetrics;
  readonly resource: string;
}

const watchReported = ({ logger, metrics, resource }: Reporting, report: WatchReport): void => {
  switch (report.type) {
    case 'Listed':
      metrics.listed(resource);
      logger.info({ resource, objects: report.objects }, 'all objects were listed');
      break;
    case 'Interrupted': {
      const { error, retryInMs, relists } = report;
      metrics.interrupted(resource, error.kind);
      logger.warn({ resource, error, retryInMs, relists }, 'a watch was interrupted');
      break;
    }
    case 'ProjectionFailed':
    case 'HandlerFailed':
      metrics.failed(resource);
      logger.error({ resource, key: report.key, error: report.error }, 'an object could not be taken in');
      break;
  }
};
