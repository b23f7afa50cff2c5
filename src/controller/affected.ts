import { isDeepStrictEqual } from 'node:util';
import type { ConnectionNodeStatus } from '../api/connection-node.ts';
import { budgetKey, type ClusterPod, type StoredBudget } from './cluster.ts';
import { meansPod } from './observe.ts';

/** Which budgets a change concerns. Too many costs time; too few leaves a status that is wrong. */
export interface Affected {
  readonly byBudget: (key: string, value: StoredBudget, previous: StoredBudget | undefined) => void;
  readonly byPod: (pod: ClusterPod) => void;
  readonly byService: (serviceKey: string) => void;
  readonly byNamespace: (namespace: string) => void;
  readonly byConnectionNode: (status: ConnectionNodeStatus, previous: ConnectionNodeStatus | undefined) => void;
  readonly byNodeFacts: () => void;
  readonly byAttachment: () => void;
}

export interface AffectedOptions {
  readonly budgetsIn: (namespace: string) => Iterable<StoredBudget>;
  readonly budgetsOfService: (serviceKey: string) => Iterable<string>;
  readonly allBudgets: () => Iterable<string>;
  readonly touched: (budgetKey: string) => void;
}

export const affectedBudgets = ({ budgetsIn, budgetsOfService, allBudgets, touched }: AffectedOptions): Affected => {
  const byNamespace = (namespace: string): void => {
    for (const budget of budgetsIn(namespace)) touched(budgetKey(budget));
  };
  const byNodeFacts = (): void => {
    for (const key of allBudgets()) touched(key);
  };
  return {
    byNamespace,
    byNodeFacts,
    /** They change so rarely that all budgets may look. */
    byAttachment: byNodeFacts,
    /** Another spec may win or lose pods of its neighbours; another status concerns nobody else. */
    byBudget: (key, value, previous) => {
      touched(key);
      if (previous?.generation !== value.generation) byNamespace(value.namespace);
    },
    byPod: (pod) => {
      for (const budget of budgetsIn(pod.namespace)) {
        const spec = budget.parsed.budget?.spec;
        if (spec !== undefined && meansPod(spec, pod.labels)) touched(budgetKey(budget));
      }
    },
    byService: (serviceKey) => {
      for (const key of budgetsOfService(serviceKey)) touched(key);
    },
    /** What a node offers concerns every budget; a report of a pod, those of its namespace. */
    byConnectionNode: (status, previous) => {
      const isSameNode =
        isDeepStrictEqual(status.facts, previous?.facts) && isDeepStrictEqual(status.agent, previous?.agent);
      if (!isSameNode) {
        byNodeFacts();
        return;
      }
      const reports = [...status.pods, ...(previous?.pods ?? [])];
      for (const namespace of new Set(reports.map((report) => report.namespace))) byNamespace(namespace);
    },
  };
};
