import type { ConnectionBudget } from '../../src/api/budget-object.ts';
import { createBudgetIndex } from '../../src/controller/budget-index.ts';
import type { Cluster, ClusterPod, StoredBudget } from '../../src/controller/cluster.ts';
import { createPodIndex } from '../../src/controller/pod-index.ts';
import { podOf } from './situations.ts';

/** What the controller keeps of objects, and the indices over them. */

export const clusterPod = (name: string, change: Partial<ClusterPod> = {}): ClusterPod => ({
  namespace: 'messaging',
  name,
  uid: `uid-of-${name}`,
  createdAt: '2026-11-23T11:00:00Z',
  startedAt: '2026-11-23T11:00:05Z',
  labels: { app: 'gateway' },
  nodeName: 'node-a',
  isRunning: true,
  isReady: true,
  isLeftAlone: false,
  observed: podOf().observed,
  ownSysctls: new Map(),
  givenAddresses: [],
  attachedAddresses: 0,
  carried: undefined,
  ...change,
});

export const stored = (budget: ConnectionBudget): StoredBudget => ({
  ...budget,
  resourceVersion: '1',
  parsed: { budget },
  status: undefined,
});

interface Objects {
  readonly budgets?: readonly StoredBudget[];
  readonly pods?: readonly ClusterPod[];
}

export const selecting = ({
  budgets = [],
  pods = [],
}: Objects): Pick<Cluster, 'budgetsIn' | 'budgetsMeaning' | 'podsSelected'> => {
  const podIndex = createPodIndex();
  for (const pod of pods) podIndex.put(`${pod.namespace}/${pod.name}`, pod);
  const budgetIndex = createBudgetIndex();
  for (const budget of budgets) budgetIndex.put(`${budget.namespace}/${budget.name}`, budget);
  return {
    budgetsIn: (namespace) => budgets.filter((budget) => budget.namespace === namespace),
    budgetsMeaning: budgetIndex.meaning,
    podsSelected: podIndex.selected,
  };
};
