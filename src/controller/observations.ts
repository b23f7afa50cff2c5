import type { ConnectionBudget } from '../api/budget-object.ts';
import type { Observed } from '../api/demand.ts';
import type { NodeFacts } from '../planner/demand.ts';
import { budgetKey, type Cluster, type ClusterPod, type NamespaceLabels } from './cluster.ts';
import {
  contendersFor,
  matchingPods,
  nodeFactsFor,
  observedNow,
  podFactsOf,
  touchablePods,
  validBudgets,
} from './observe.ts';
import { type Memory, settle, type Settled } from './settle.ts';
import type { MatchingPod, Rival } from './situation.ts';

/** What the webhook asks for; every replica answers, whether it leads or not. */
export interface Surroundings {
  readonly budgetsIn: (namespace: string) => readonly ConnectionBudget[];
  readonly observedFor: (budget: ConnectionBudget) => Observed;
  readonly nodeFactsFor: (budget: ConnectionBudget) => NodeFacts | undefined;
  readonly namespaceLabels: (namespace: string) => NamespaceLabels | undefined;
}

/** What was observed of each budget, with what it remembers of the last ten minutes. */
export interface Observations extends Surroundings {
  readonly settledFor: (budget: ConnectionBudget) => Settled;
  readonly forget: (key: string) => void;
}

export const createObservations = (cluster: Cluster, nowMs: () => number): Observations => {
  const memories = new Map<string, { readonly uid: string; readonly memory: Memory }>();
  const settledFor = (budget: ConnectionBudget): Settled => {
    const key = budgetKey(budget);
    const known = memories.get(key);
    const memory: Memory = known?.uid === budget.uid ? known.memory : new Map();
    const settled = settle(memory, observedNow(cluster, budget, matchingPods(cluster, budget)), nowMs());
    // A budget that is only being admitted is not remembered: nobody would forget it.
    if (cluster.budget(key)?.uid === budget.uid) memories.set(key, { uid: budget.uid, memory: settled.memory });
    return settled;
  };
  return {
    settledFor,
    forget: (key) => memories.delete(key),
    budgetsIn: (namespace) => validBudgets(cluster, namespace),
    observedFor: (budget) => settledFor(budget).observed,
    nodeFactsFor: (budget) => nodeFactsFor(cluster, matchingPods(cluster, budget)),
    namespaceLabels: cluster.namespaceLabels,
  };
};

/** The other valid budgets that select some of the same pods. */
export const rivalsOf = (cluster: Cluster, budget: ConnectionBudget): readonly Rival[] => {
  const rivals = new Map<string, Rival>();
  for (const pod of touchablePods(cluster, budget)) {
    const selecting = contendersFor(cluster, budget, pod).map(({ name }) => name);
    const own = selecting.indexOf(budget.name);
    for (const [rank, name] of selecting.entries()) {
      if (rank !== own) rivals.set(name, { name, wins: rank < own, pods: (rivals.get(name)?.pods ?? 0) + 1 });
    }
  }
  return [...rivals.values()];
};

/** A pod with what the agent of its node says of it. */
export const withReport = (cluster: Cluster, pod: ClusterPod): MatchingPod => {
  const node = pod.nodeName === undefined ? undefined : cluster.connectionNode(pod.nodeName);
  return {
    name: pod.name,
    isRunning: pod.isRunning,
    startedAt: pod.startedAt,
    nodeName: pod.nodeName,
    observed: podFactsOf(cluster, pod),
    ownSysctls: pod.ownSysctls,
    carried: pod.carried,
    report: node?.pods.find(({ uid }) => uid === pod.uid),
    hasAgent: node?.agent?.connected === true,
  };
};
