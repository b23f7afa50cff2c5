import type { ConnectionBudget } from '../api/budget-object.ts';
import { budgetsSelecting } from '../api/selector.ts';
import type { Cluster, ClusterPod } from './cluster.ts';
import { budgetsMeaning } from './observe.ts';
import type { Rival } from './situation.ts';

/** What a budget's selector means now, found in one look at its pods. */
export interface Selection {
  /** The budget's own, newest first: pods that an older budget selects too have the plan of that one. */
  readonly pods: readonly ClusterPod[];
  /** Pods that the selector means and that nobody may touch. */
  readonly untouchable: number;
  /** The other valid budgets that select some of the same pods. */
  readonly rivals: readonly Rival[];
}

export const selectionFor = (cluster: Cluster, budget: ConnectionBudget): Selection => {
  const selected = cluster.podsSelected(budget.namespace, budget.spec.selector);
  const touchable = selected.filter(({ isLeftAlone }) => !isLeftAlone);
  const contendersFor = contending(cluster, budget);
  return {
    pods: touchable.filter((pod) => contendersFor(pod)[0] === budget.name).toSorted(newestFirst),
    untouchable: selected.length - touchable.length,
    rivals: rivalsAmong(touchable.map(contendersFor), budget.name),
  };
};

/**
 * The names of the budgets that select a pod, this one among them as it is given, the one that wins first. Pods of one
 * template share their labels and are asked for once.
 */
const contending = (cluster: Cluster, budget: ConnectionBudget): ((pod: ClusterPod) => readonly string[]) => {
  const known = new Map<ClusterPod['labels'], readonly string[]>();
  return (pod) => {
    const before = known.get(pod.labels);
    if (before !== undefined) return before;
    const others = budgetsMeaning(cluster, pod).filter(({ name }) => name !== budget.name);
    const names = budgetsSelecting([...others, budget], pod.labels).map(({ name }) => name);
    known.set(pod.labels, names);
    return names;
  };
};

const newestFirst = (a: ClusterPod, b: ClusterPod): number =>
  b.createdAt === a.createdAt ? (a.name < b.name ? -1 : 1) : b.createdAt < a.createdAt ? -1 : 1;

const rivalsAmong = (contenders: readonly (readonly string[])[], own: string): readonly Rival[] => {
  const rivals = new Map<string, Rival>();
  for (const names of contenders) {
    const ownRank = names.indexOf(own);
    for (const [rank, name] of names.entries()) {
      if (rank !== ownRank) rivals.set(name, { name, wins: rank < ownRank, pods: (rivals.get(name)?.pods ?? 0) + 1 });
    }
  }
  return [...rivals.values()];
};
