import { isDeepStrictEqual } from 'node:util';
import type { ConnectionNodeStatus, PodReport } from '../api/connection-node.ts';
import { selects } from '../api/selector.ts';
import { budgetKey, type Cluster, type ClusterPod, type StoredBudget } from './cluster.ts';

/**
 * Which budgets a change concerns. Too many costs time; too few leaves a status that is wrong. Nothing here looks at all
 * budgets or pods for the change of one, but for what every budget without a pod on a node is planned for.
 */
export interface Affected {
  readonly byBudget: (key: string, value: StoredBudget, previous: StoredBudget | undefined) => void;
  readonly byPod: (pod: ClusterPod) => void;
  readonly byService: (serviceKey: string) => void;
  readonly byNamespace: (namespace: string) => void;
  readonly byConnectionNode: (
    name: string,
    status: ConnectionNodeStatus,
    previous: ConnectionNodeStatus | undefined,
  ) => void;
  /** It came or went, or what it offers is another. */
  readonly byNode: (name: string) => void;
  readonly byAttachment: () => void;
}

export interface AffectedOptions {
  readonly cluster: Pick<Cluster, 'budgetKeys' | 'budgetsIn' | 'budgetsMeaning' | 'podsSelected'>;
  readonly pod: (key: string) => ClusterPod | undefined;
  readonly podsOn: (nodeName: string) => Iterable<ClusterPod>;
  readonly budgetsOfService: (serviceKey: string) => Iterable<string>;
  /** Asked after each change of a node: whether what all nodes offer at least became another. */
  readonly leastFactsChanged: () => boolean;
  readonly touched: (budgetKey: string) => void;
}

export const affectedBudgets = (options: AffectedOptions): Affected => {
  const { cluster, touched } = options;
  const byPod = (pod: ClusterPod): void => {
    for (const budget of cluster.budgetsMeaning(pod)) touched(budgetKey(budget));
  };
  const touchAll = (): void => {
    for (const key of cluster.budgetKeys()) touched(key);
  };
  const byNode = (name: string): void => {
    if (options.leastFactsChanged()) touchAll();
    else for (const pod of options.podsOn(name)) byPod(pod);
  };
  return {
    byPod,
    byNode,
    /** They change so rarely that all budgets may look. */
    byAttachment: touchAll,
    byNamespace: (namespace) => {
      for (const budget of cluster.budgetsIn(namespace)) touched(budgetKey(budget));
    },
    byBudget: (key, value, previous) => {
      touched(key);
      if (previous?.generation === value.generation) return;
      for (const budget of [value, ...(previous === undefined ? [] : [previous])])
        for (const rival of rivalsFor(cluster, budget)) touched(rival);
    },
    byService: (serviceKey) => {
      for (const key of options.budgetsOfService(serviceKey)) touched(key);
    },
    byConnectionNode: (name, status, previous) => {
      const isSameNode =
        isDeepStrictEqual(status.facts, previous?.facts) && isDeepStrictEqual(status.agent, previous?.agent);
      if (!isSameNode) byNode(name);
      for (const report of changedReports(status.pods, previous?.pods ?? [])) {
        const pod = options.pod(`${report.namespace}/${report.name}`);
        if (pod !== undefined) byPod(pod);
      }
    },
  };
};

/** Another spec may win or lose pods of its neighbours; another status concerns nobody else. */
const rivalsFor = (cluster: AffectedOptions['cluster'], budget: StoredBudget): ReadonlySet<string> => {
  const selector = budget.parsed.budget?.spec.selector;
  const pods = selector === undefined ? [] : cluster.podsSelected(budget.namespace, selector);
  const rivals = new Set<string>();
  for (const pod of pods)
    for (const rival of cluster.budgetsMeaning(pod)) {
      const isOwn = rival.parsed.budget !== undefined && selects(rival.parsed.budget.spec.selector, pod.labels);
      if (isOwn) rivals.add(budgetKey(rival));
    }
  return rivals;
};

/** Reports that came, went, or say something else; a pod that is not known yet makes a change of its own. */
const changedReports = (now: readonly PodReport[], before: readonly PodReport[]): readonly PodReport[] => {
  const earlier = new Map(before.map((report) => [report.uid, report]));
  const present = new Set(now.map(({ uid }) => uid));
  return [
    ...now.filter((report) => !isDeepStrictEqual(report, earlier.get(report.uid))),
    ...before.filter(({ uid }) => !present.has(uid)),
  ];
};
