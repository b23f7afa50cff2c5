import { isDeepStrictEqual } from 'node:util';
import type { Attachment } from '../addresses/multus.ts';
import type { ConnectionNodeStatus } from '../api/connection-node.ts';
import type { KubeClient } from '../kube/client.ts';
import { type ListWatchOptions, startListWatch, type WatchCache, type WatchReport } from '../kube/list-watch.ts';
import { isKubeError } from '../kube/kube-error.ts';
import type { ServiceObject } from '../api/observed-service.ts';
import { endpointSlices, type KubeObject, namespaces, nodes, pods, services } from '../kube/resources.ts';
import type { Affected } from './affected.ts';
import type { ClusterPod, NamespaceLabels, ServiceSlice, StoredBudget } from './cluster.ts';
import type { BudgetIndex } from './budget-index.ts';
import type { Grouped } from './grouped.ts';
import { serviceKeysOf } from './observe.ts';
import type { PodIndex } from './pod-index.ts';
import {
  projectAttachment,
  projectBudget,
  projectConnectionNode,
  projectNamespace,
  projectPod,
  projectService,
  projectSlice,
} from './projections.ts';
import { budgets, connectionNodes, type CustomObject, networkAttachments } from './resources.ts';

/** One watch for each kind: what is kept of it, how it is indexed, and whom a change concerns. */

export interface CachesOptions {
  readonly client: KubeClient;
  /**
   * A budget that has to be looked at again, also when it is gone. None before all is listed, for then all have to: what is
   * seen before is no observation, and a part of a Service's endpoints is not fewer endpoints.
   */
  readonly touched: (budgetKey: string) => void;
  /** ListWatchOptions.opened of the budgets. */
  readonly budgetsOpened: () => void;
  /** A node whose agent has reported. */
  readonly nodeReported: (name: string) => void;
  readonly report: (resource: string, report: WatchReport) => void;
  readonly signal: AbortSignal;
}

export interface Indices {
  readonly budgets: Grouped<StoredBudget>;
  readonly budgetsByService: Grouped<string>;
  readonly budgetsByLabel: BudgetIndex;
  readonly pods: PodIndex;
  readonly podsByNode: Grouped<ClusterPod>;
  readonly slices: Grouped<ServiceSlice>;
}

export interface Watching {
  readonly options: CachesOptions;
  readonly indices: Indices;
  readonly affected: Affected;
}

type Watch<Wire extends KubeObject, T> = Pick<
  ListWatchOptions<Wire, T>,
  'resource' | 'project' | 'handlers' | 'metadataOnly' | 'backoff' | 'opened'
>;

const follow = <Wire extends KubeObject, T>(
  { options }: Watching,
  watch: Watch<Wire, T>,
  report = (told: WatchReport): void => options.report(watch.resource.plural, told),
): WatchCache<T> => startListWatch<Wire, T>({ ...watch, client: options.client, signal: options.signal, report });

export const watchBudgets = (watching: Watching): WatchCache<StoredBudget> => {
  const { indices, affected } = watching;
  const dropServices = (key: string, { parsed }: StoredBudget): void => {
    for (const service of parsed.budget === undefined ? [] : serviceKeysOf(parsed.budget))
      indices.budgetsByService.remove(key, service);
  };
  return follow(watching, {
    resource: budgets,
    project: projectBudget,
    opened: watching.options.budgetsOpened,
    handlers: {
      upserted: (key, value, previous) => {
        if (previous !== undefined) dropServices(key, previous);
        for (const service of value.parsed.budget === undefined ? [] : serviceKeysOf(value.parsed.budget))
          indices.budgetsByService.put(key, service, key);
        indices.budgets.put(key, value.namespace, value);
        indices.budgetsByLabel.put(key, value);
        affected.byBudget(key, value, previous);
      },
      deleted: (key, value) => {
        dropServices(key, value);
        indices.budgets.remove(key, value.namespace);
        indices.budgetsByLabel.remove(key);
        affected.byBudget(key, value, undefined);
      },
    },
  });
};

export const watchPods = (watching: Watching): WatchCache<ClusterPod> => {
  const { indices, affected } = watching;
  const placed = (key: string, now: ClusterPod | undefined, before: ClusterPod | undefined): void => {
    if (before?.nodeName !== undefined) indices.podsByNode.remove(key, before.nodeName);
    if (now?.nodeName !== undefined) indices.podsByNode.put(key, now.nodeName, now);
  };
  return follow(watching, {
    resource: pods,
    project: projectPod,
    handlers: {
      upserted: (key, value, previous) => {
        indices.pods.put(key, value);
        placed(key, value, previous);
        if (isDeepStrictEqual(value, previous)) return;
        affected.byPod(value);
        if (previous !== undefined && !isDeepStrictEqual(value.labels, previous.labels)) affected.byPod(previous);
      },
      deleted: (key, value) => {
        indices.pods.remove(key, value);
        placed(key, undefined, value);
        affected.byPod(value);
      },
    },
  });
};

export const watchSlices = (watching: Watching): WatchCache<ServiceSlice> => {
  const { indices, affected } = watching;
  return follow(watching, {
    resource: endpointSlices,
    project: projectSlice,
    handlers: {
      upserted: (key, value, previous) => {
        if (isDeepStrictEqual(value, previous)) {
          indices.slices.put(key, value.serviceKey, value);
          return;
        }
        if (previous !== undefined) indices.slices.remove(key, previous.serviceKey);
        indices.slices.put(key, value.serviceKey, value);
        affected.byService(value.serviceKey);
        if (previous !== undefined && previous.serviceKey !== value.serviceKey) affected.byService(previous.serviceKey);
      },
      deleted: (key, value) => {
        indices.slices.remove(key, value.serviceKey);
        affected.byService(value.serviceKey);
      },
    },
  });
};

export const watchServices = (watching: Watching): WatchCache<ServiceObject> =>
  follow(watching, {
    resource: services,
    project: projectService,
    handlers: { upserted: watching.affected.byService, deleted: watching.affected.byService },
  });

export const watchNamespaces = (watching: Watching): WatchCache<NamespaceLabels> =>
  follow(watching, {
    resource: namespaces,
    metadataOnly: true,
    project: projectNamespace,
    handlers: {
      upserted: (name, labels, previous) => {
        if (!isDeepStrictEqual(labels, previous)) watching.affected.byNamespace(name);
      },
    },
  });

/** Only whether a node is there: its agent may be gone with it and its ConnectionNode stay. */
export const watchNodes = (watching: Watching): WatchCache<true> =>
  follow(watching, {
    resource: nodes,
    metadataOnly: true,
    project: () => true as const,
    handlers: {
      upserted: (name, _present, previous) => {
        if (previous === undefined) watching.affected.byNode(name);
      },
      deleted: watching.affected.byNode,
    },
  });

export const watchConnectionNodes = (watching: Watching): WatchCache<ConnectionNodeStatus> =>
  follow(watching, {
    resource: connectionNodes,
    project: projectConnectionNode,
    handlers: {
      upserted: (name, status, previous) => {
        watching.affected.byConnectionNode(name, status, previous);
        watching.options.nodeReported(name);
      },
      deleted: watching.affected.byNode,
    },
  });

/**
 * A cluster without Multus has no such kind, and an older role of ours may not read it: that is an answer, and is asked for
 * again every few seconds, so that a kind that comes later is followed. Nothing waits for it.
 */
export const watchAttachments = (watching: Watching): WatchCache<Attachment> => {
  const { options, affected } = watching;
  const answered = Promise.withResolvers<void>();
  let isAnswered = false;
  const answer = (): void => {
    isAnswered = true;
    answered.resolve();
  };
  const cache = follow<CustomObject, Attachment>(
    watching,
    {
      resource: networkAttachments,
      project: projectAttachment,
      backoff: { baseMs: 1000, maximumMs: 10_000 },
      handlers: { upserted: affected.byAttachment, deleted: affected.byAttachment },
    },
    (report) => {
      const isAbsent = report.type === 'Interrupted' && isKubeError(report.error, 'NotFound', 'Forbidden');
      if (isAbsent) answer();
      else options.report(networkAttachments.plural, report);
    },
  );
  void cache.synced.then(answer);
  // Nobody speaks of a kind that is not there: its silence means nothing.
  return { ...cache, synced: answered.promise, hasSynced: () => isAnswered, silentMs: () => undefined };
};
