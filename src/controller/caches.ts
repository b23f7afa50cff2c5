import type { Attachment } from '../addresses/multus.ts';
import type { ConnectionNodeStatus } from '../api/connection-node.ts';
import type { ServiceObject } from '../api/observed-service.ts';
import type { WatchCache } from '../kube/list-watch.ts';
import { affectedBudgets } from './affected.ts';
import type { Cluster, NamespaceLabels, StoredBudget } from './cluster.ts';
import { createGrouped } from './grouped.ts';
import {
  type CachesOptions,
  type Indices,
  watchAttachments,
  watchBudgets,
  watchConnectionNodes,
  watchNamespaces,
  watchNodes,
  watchPods,
  watchServices,
  watchSlices,
} from './watches.ts';

export interface Caches {
  readonly cluster: Cluster;
  /** Resolves when every kind was listed once, or the signal fired. */
  readonly synced: Promise<void>;
  /** Kinds that were not listed yet. */
  readonly unsynced: () => readonly string[];
  readonly stopped: Promise<void>;
}

/** Follows every kind that a decision needs, and tells which budgets a change concerns. */
export const startCaches = (options: CachesOptions): Caches => {
  const indices: Indices = {
    budgets: createGrouped(),
    budgetsByService: createGrouped(),
    pods: createGrouped(),
    slices: createGrouped(),
  };
  const affected = affectedBudgets({
    budgetsIn: indices.budgets.in,
    budgetsOfService: indices.budgetsByService.in,
    allBudgets: () => stored.keys(),
    touched: options.touched,
  });
  const watching = { options, indices, affected };
  const stored = watchBudgets(watching);
  const pods = watchPods(watching);
  const slices = watchSlices(watching);
  const lookups: Lookups = {
    budgets: stored,
    services: watchServices(watching),
    namespaces: watchNamespaces(watching),
    nodes: watchNodes(watching),
    connectionNodes: watchConnectionNodes(watching),
    attachments: watchAttachments(watching),
  };
  const each: readonly (readonly [string, WatchCache<unknown>])[] = Object.entries({ ...lookups, pods, slices });
  return {
    cluster: clusterOver(indices, lookups),
    synced: Promise.all(each.map(([, cache]) => cache.synced)).then(() => undefined),
    unsynced: () => each.filter(([, cache]) => !cache.hasSynced()).map(([resource]) => resource),
    stopped: Promise.all(each.map(([, cache]) => cache.stopped)).then(() => undefined),
  };
};

interface Lookups {
  readonly budgets: WatchCache<StoredBudget>;
  readonly services: WatchCache<ServiceObject>;
  readonly namespaces: WatchCache<NamespaceLabels>;
  readonly nodes: WatchCache<true>;
  readonly connectionNodes: WatchCache<ConnectionNodeStatus>;
  readonly attachments: WatchCache<Attachment>;
}

const clusterOver = (indices: Indices, lookups: Lookups): Cluster => {
  const connectionNode = (name: string): ConnectionNodeStatus | undefined =>
    lookups.nodes.get(name) === true ? lookups.connectionNodes.get(name) : undefined;
  return {
    budget: lookups.budgets.get,
    budgetKeys: lookups.budgets.keys,
    budgetsIn: indices.budgets.in,
    podsIn: indices.pods.in,
    service: lookups.services.get,
    slicesOf: indices.slices.in,
    attachment: lookups.attachments.get,
    namespaceLabels: lookups.namespaces.get,
    connectionNode,
    connectionNodeNames: lookups.connectionNodes.keys,
    connectionNodes: () => [...lookups.connectionNodes.keys()].flatMap((name) => connectionNode(name) ?? []),
  };
};
