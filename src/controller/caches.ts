import { isDeepStrictEqual } from 'node:util';
import type { Attachment } from '../addresses/multus.ts';
import type { ConnectionNodeStatus } from '../api/connection-node.ts';
import type { ServiceObject } from '../api/observed-service.ts';
import type { NodeFacts } from '../planner/demand.ts';
import type { WatchCache } from '../kube/list-watch.ts';
import { affectedBudgets } from './affected.ts';
import { createBudgetIndex } from './budget-index.ts';
import type { Cluster, NamespaceLabels, StoredBudget } from './cluster.ts';
import { createGrouped } from './grouped.ts';
import { smallestFacts } from './observe.ts';
import { createPodIndex } from './pod-index.ts';
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
  readonly contents: () => readonly CacheContents[];
  /** WatchCache.hurry of every kind. */
  readonly hurry: () => Promise<unknown> | undefined;
  readonly stopped: Promise<void>;
}

/** How much of a kind is held, whether that is all, and which objects of which versions (WatchCache.digest). */
export interface CacheContents {
  readonly resource: string;
  readonly objects: number;
  readonly digest: number;
  /** Since the last event or bookmark; undefined: not listed yet. */
  readonly silentMs: number | undefined;
  readonly hasSynced: boolean;
}

/** Follows every kind that a decision needs, and tells which budgets a change concerns. */
export const startCaches = (options: CachesOptions): Caches => {
  const indices: Indices = {
    budgets: createGrouped(),
    budgetsByService: createGrouped(),
    budgetsByLabel: createBudgetIndex(),
    pods: createPodIndex(),
    podsByNode: createGrouped(),
    slices: createGrouped(),
  };
  const gate = gateFor(options.touched);
  const leastFacts = rememberedFacts(() => nodesWithAgent(lookups));
  const affected = affectedBudgets({
    cluster: { ...selections(indices), budgetKeys: () => lookups.budgets.keys() },
    pod: (key) => pods.get(key),
    podsOn: indices.podsByNode.in,
    budgetsOfService: indices.budgetsByService.in,
    leastFactsChanged: leastFacts.changed,
    touched: gate.pass,
  });
  const watching = { options, indices, affected };
  const pods = watchPods(watching);
  const slices = watchSlices(watching);
  const lookups: Lookups = {
    budgets: watchBudgets(watching),
    services: watchServices(watching),
    namespaces: watchNamespaces(watching),
    nodes: watchNodes(watching),
    connectionNodes: watchConnectionNodes(watching),
    attachments: watchAttachments(watching),
  };
  const each: readonly WatchCache<unknown>[] = [...Object.values(lookups), pods, slices];
  return {
    cluster: { ...clusterOver(indices, lookups), leastNodeFacts: leastFacts.now },
    synced: Promise.all(each.map(({ synced }) => synced)).then(gate.open),
    contents: () => each.map(contentsOf),
    hurry: () => hurry(each),
    stopped: Promise.all(each.map(({ stopped }) => stopped)).then(() => undefined),
  };
};

const hurry = (caches: readonly WatchCache<unknown>[]): Promise<unknown> | undefined => {
  const missing = caches.map((cache) => cache.hurry()).filter((caughtUp) => caughtUp !== undefined);
  return missing.length === 0 ? undefined : Promise.all(missing);
};

/** Closed until all is listed: CachesOptions.touched. */
const gateFor = (touched: CachesOptions['touched']): { readonly pass: typeof touched; readonly open: () => void } => {
  let isOpen = false;
  return {
    pass: (key) => {
      if (isOpen) touched(key);
    },
    open: () => {
      isOpen = true;
    },
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

const contentsOf = (cache: WatchCache<unknown>): CacheContents => ({
  resource: cache.plural,
  objects: cache.size(),
  digest: cache.digest(),
  silentMs: cache.silentMs(),
  hasSynced: cache.hasSynced(),
});

const selections = ({ budgets, budgetsByLabel, pods }: Indices) => ({
  budgetsIn: budgets.in,
  budgetsMeaning: budgetsByLabel.meaning,
  podsSelected: pods.selected,
});

const clusterOver = (indices: Indices, lookups: Lookups): Omit<Cluster, 'leastNodeFacts'> => ({
  ...selections(indices),
  budget: lookups.budgets.get,
  budgetKeys: lookups.budgets.keys,
  service: lookups.services.get,
  slicesOf: indices.slices.in,
  attachment: lookups.attachments.get,
  namespaceLabels: lookups.namespaces.get,
  connectionNode: (name) => connectionNodeIn(lookups, name),
  connectionNodeNames: lookups.connectionNodes.keys,
});

const connectionNodeIn = ({ nodes, connectionNodes }: Lookups, name: string): ConnectionNodeStatus | undefined =>
  nodes.get(name) === true ? connectionNodes.get(name) : undefined;

const nodesWithAgent = (lookups: Lookups): readonly ConnectionNodeStatus[] =>
  [...lookups.connectionNodes.keys()].flatMap((name) => connectionNodeIn(lookups, name) ?? []);

/** Thousands of budgets without a pod ask for it, and thousands of nodes are in it: it is found once for each change. */
const rememberedFacts = (nodes: () => readonly ConnectionNodeStatus[]) => {
  let least: NodeFacts | undefined;
  return {
    now: () => least,
    changed: (): boolean => {
      const before = least;
      least = smallestFacts(nodes().map(({ facts }) => facts));
      return !isDeepStrictEqual(before, least);
    },
  };
};
