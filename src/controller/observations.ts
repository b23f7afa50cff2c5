import { isDeepStrictEqual } from 'node:util';
import type { Attachment } from '../addresses/multus.ts';
import type { ConnectionBudget } from '../api/budget-object.ts';
import type { Observed } from '../api/demand.ts';
import type { NodeFacts } from '../planner/demand.ts';
import { budgetKey, type Cluster, type ClusterPod, type NamespaceLabels } from './cluster.ts';
import {
  budgetsMeaning,
  contendersFor,
  matchingPods,
  nodeFactsFor,
  observedNow,
  podFactsOf,
  touchablePods,
} from './observe.ts';
import { settle, type Settled } from './settle.ts';
import type { MatchingPod, Rival } from './situation.ts';

/** What the webhook asks for; every replica answers, whether it leads or not. Values stay the same while they are equal. */
export interface Surroundings {
  /** The valid budgets one of whose selectors means the pod. */
  readonly budgetsMeaning: (pod: Pick<ClusterPod, 'namespace' | 'labels'>) => readonly ConnectionBudget[];
  readonly observedFor: (budget: ConnectionBudget) => Observed;
  readonly nodeFactsFor: (budget: ConnectionBudget) => NodeFacts | undefined;
  readonly namespaceLabels: (namespace: string) => NamespaceLabels | undefined;
  readonly attachment: (key: string) => Attachment | undefined;
}

/** What was observed of each budget, with what it remembers of the last ten minutes. */
export interface Observations extends Surroundings {
  readonly settledFor: (budget: ConnectionBudget) => Settled;
  readonly forget: (key: string) => void;
}

interface Sight {
  readonly uid: string;
  readonly generation: number;
  readonly atMs: number;
  readonly settled: Settled;
  readonly node: NodeFacts | undefined;
}

/**
 * How old an answer for a pod may be. What changes is looked at 100 ms later in any case; without a sight that lasts,
 * each of a thousand new pods would have all the others of its namespace counted.
 */
const sightLastsMs = 1000;

/** The earlier of two equal values, so that who remembers it knows that nothing has changed. */
const unlessChanged = <T>(before: T | undefined, now: T): T =>
  before !== undefined && isDeepStrictEqual(before, now) ? before : now;

export const createObservations = (cluster: Cluster, nowMs: () => number): Observations => {
  const sights = new Map<string, Sight>();
  const look = (budget: ConnectionBudget): Sight => {
    const key = budgetKey(budget);
    const last = sights.get(key);
    const before = last?.uid === budget.uid ? last : undefined;
    const pods = matchingPods(cluster, budget);
    const settled = settle(before?.settled.memory ?? new Map(), observedNow(cluster, budget, pods), nowMs());
    const sight = {
      uid: budget.uid,
      generation: budget.generation,
      atMs: nowMs(),
      settled: { ...settled, observed: unlessChanged(before?.settled.observed, settled.observed) },
      node: unlessChanged(before?.node, nodeFactsFor(cluster, pods)),
    };
    // A budget that is only being admitted is not remembered: nobody would forget it.
    if (cluster.budget(key)?.uid === budget.uid) sights.set(key, sight);
    return sight;
  };
  const sightOf = (budget: ConnectionBudget): Sight => {
    const last = sights.get(budgetKey(budget));
    const isOfThis = last?.uid === budget.uid && last.generation === budget.generation;
    return isOfThis && nowMs() - last.atMs < sightLastsMs ? last : look(budget);
  };
  return {
    settledFor: (budget) => look(budget).settled,
    forget: (key) => sights.delete(key),
    budgetsMeaning: (pod) => budgetsMeaning(cluster, pod),
    observedFor: (budget) => sightOf(budget).settled.observed,
    nodeFactsFor: (budget) => sightOf(budget).node,
    namespaceLabels: cluster.namespaceLabels,
    attachment: cluster.attachment,
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
    refusal: pod.refusal,
    startedAt: pod.startedAt,
    nodeName: pod.nodeName,
    observed: podFactsOf(cluster, pod),
    ownSysctls: pod.ownSysctls,
    attachedAddresses: pod.attachedAddresses,
    carried: pod.carried,
    report: node?.pods.find(({ uid }) => uid === pod.uid),
    hasAgent: node?.agent?.connected === true,
    agentObstacle: node?.agent?.message,
  };
};
