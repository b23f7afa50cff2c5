import { isDeepStrictEqual } from 'node:util';
import type { Attachment } from '../addresses/multus.ts';
import type { ConnectionBudget } from '../api/budget-object.ts';
import type { Observed } from '../api/demand.ts';
import type { NodeFacts } from '../planner/demand.ts';
import { budgetKey, type Cluster, type ClusterPod, type NamespaceLabels } from './cluster.ts';
import { budgetsMeaning, nodeFactsFor, observedNow, podFactsOf } from './observe.ts';
import { type Selection, selectionFor } from './selection.ts';
import { settle, type Settled } from './settle.ts';
import type { MatchingPod } from './situation.ts';

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
  readonly look: (budget: ConnectionBudget) => Look;
  readonly forget: (key: string) => void;
}

/** What a look finds: what is remembered of it, and the pods themselves, which are not. */
export interface Look extends Sight {
  readonly selection: Selection;
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
  const look = (budget: ConnectionBudget): Look => {
    const key = budgetKey(budget);
    const last = sights.get(key);
    const before = last?.uid === budget.uid ? last : undefined;
    const selection = selectionFor(cluster, budget);
    const { pods } = selection;
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
    return { ...sight, selection };
  };
  const sightOf = (budget: ConnectionBudget): Sight => {
    const last = sights.get(budgetKey(budget));
    const isOfThis = last?.uid === budget.uid && last.generation === budget.generation;
    return isOfThis && nowMs() - last.atMs < sightLastsMs ? last : look(budget);
  };
  return {
    look,
    forget: (key) => sights.delete(key),
    budgetsMeaning: (pod) => budgetsMeaning(cluster, pod),
    observedFor: (budget) => sightOf(budget).settled.observed,
    nodeFactsFor: (budget) => sightOf(budget).node,
    namespaceLabels: cluster.namespaceLabels,
    attachment: cluster.attachment,
  };
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
