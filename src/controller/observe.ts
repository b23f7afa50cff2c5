import { attachmentKey, attachmentOffer } from '../addresses/multus.ts';
import type { ConnectionBudget } from '../api/budget-object.ts';
import type { Observed, ObservedPod, ObservedService } from '../api/demand.ts';
import { admitsReservedPorts } from '../api/observed-pod.ts';
import { observedServiceFor } from '../api/observed-service.ts';
import { budgetsSelecting } from '../api/selector.ts';
import type { NodeFacts } from '../planner/demand.ts';
import type { Cluster, ClusterPod } from './cluster.ts';

/** Questions about a budget's surroundings, answered from what was seen last. */

const selectedPods = (cluster: Cluster, { namespace, spec }: ConnectionBudget): readonly ClusterPod[] =>
  cluster.podsSelected(namespace, spec.selector);

/** The valid budgets one of whose selectors means the pod. */
export const budgetsMeaning = (
  cluster: Cluster,
  pod: Pick<ClusterPod, 'namespace' | 'labels'>,
): readonly ConnectionBudget[] => cluster.budgetsMeaning(pod).flatMap(({ parsed }) => parsed.budget ?? []);

/** The pods that the selector means, but for those that nobody may touch. */
export const touchablePods = (cluster: Cluster, budget: ConnectionBudget): readonly ClusterPod[] =>
  selectedPods(cluster, budget).filter((pod) => !pod.isLeftAlone);

/** The budgets that select a pod, this one among them as it is given, the one that wins first. */
export const contendersFor = (
  cluster: Cluster,
  budget: ConnectionBudget,
  pod: ClusterPod,
): readonly ConnectionBudget[] => {
  return budgetsSelecting(
    [...budgetsMeaning(cluster, pod).filter(({ name }) => name !== budget.name), budget],
    pod.labels,
  );
};

/** Of these the budget's own, newest first: those that an older budget selects too have the plan of that one. */
export const matchingPods = (cluster: Cluster, budget: ConnectionBudget): readonly ClusterPod[] =>
  touchablePods(cluster, budget)
    .filter((pod) => contendersFor(cluster, budget, pod)[0] === budget)
    .toSorted(newestFirst);

export const untouchablePods = (cluster: Cluster, budget: ConnectionBudget): number =>
  selectedPods(cluster, budget).filter((pod) => pod.isLeftAlone).length;

const newestFirst = (a: ClusterPod, b: ClusterPod): number =>
  b.createdAt === a.createdAt ? (a.name < b.name ? -1 : 1) : b.createdAt < a.createdAt ? -1 : 1;

const scaleOf = (matching: readonly ClusterPod[]): Observed['scale'] => {
  const pods = matching.filter(({ refusal }) => refusal === undefined);
  if (pods.length === 0) return undefined;
  const placed = pods.flatMap(({ nodeName }) => (nodeName === undefined ? [] : [nodeName]));
  const perNode = Map.groupBy(placed, (node) => node);
  return { pods: pods.length, podsPerNode: Math.max(1, ...[...perNode.values()].map(({ length }) => length)) };
};

/** `namespace/name` of every Service that an outbound flow reaches. */
export const serviceKeysOf = ({ namespace, spec }: ConnectionBudget): readonly string[] =>
  spec.outbound.flatMap(({ destination: { service } }) =>
    service === undefined ? [] : [`${service.namespace ?? namespace}/${service.name}`],
  );

const servicesOf = (cluster: Cluster, budget: ConnectionBudget): ReadonlyMap<string, ObservedService> => {
  const services = new Map<string, ObservedService>();
  for (const key of serviceKeysOf(budget)) {
    const service = cluster.service(key);
    if (service === undefined) continue;
    services.set(key, observedServiceFor(service, [...cluster.slicesOf(key)]));
  }
  return services;
};

const readyClients = (cluster: Cluster, { namespace, spec }: ConnectionBudget): ReadonlyMap<string, number> => {
  const ready = new Map<string, number>();
  for (const { name, clients } of spec.inbound) {
    const selector = clients?.podSelector;
    if (selector === undefined) continue;
    ready.set(name, cluster.podsSelected(namespace, selector).filter(({ isReady }) => isReady).length);
  }
  return ready;
};

/** The Pod Security level belongs to the namespace and may change while the pod lives. */
export const podFactsOf = (cluster: Cluster, pod: ClusterPod): ObservedPod => ({
  ...pod.observed,
  kubeletReservesPorts: admitsReservedPorts(cluster.namespaceLabels(pod.namespace) ?? {}),
});

/** Of what the newest pod is given; pods of one template are given as much each. */
const attachmentOf = (cluster: Cluster, { namespace, spec }: ConnectionBudget, newest: ClusterPod | undefined) => {
  const { provider, networkAttachmentName } = spec.sourceAddresses;
  if (provider !== 'Multus' || networkAttachmentName === undefined) return undefined;
  const key = attachmentKey(networkAttachmentName, namespace);
  return attachmentOffer(key, cluster.attachment(key), { spec, given: newest?.givenAddresses ?? [] });
};

/** What is seen of a budget's surroundings now; its pod is the newest one that matches. */
export const observedNow = (cluster: Cluster, budget: ConnectionBudget, pods: readonly ClusterPod[]): Observed => ({
  namespace: budget.namespace,
  scale: scaleOf(pods),
  services: servicesOf(cluster, budget),
  clientPods: readyClients(cluster, budget),
  pod: pods[0] === undefined ? undefined : podFactsOf(cluster, pods[0]),
  attachment: attachmentOf(cluster, budget, pods[0]),
});

const smallest = (values: readonly (number | undefined)[]): number | undefined => {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
};

/** The smallest value of each field; a field that no node tells is Unknown. */
export const smallestFacts = (facts: readonly NodeFacts[]): NodeFacts | undefined => {
  if (facts.length === 0) return undefined;
  const soft = smallest(facts.map(({ runtimeNofile }) => runtimeNofile?.soft));
  const hard = smallest(facts.map(({ runtimeNofile }) => runtimeNofile?.hard));
  return {
    kernelRelease: facts.length === 1 ? facts[0]?.kernelRelease : undefined,
    nrOpen: smallest(facts.map(({ nrOpen }) => nrOpen)),
    fileMax: smallest(facts.map(({ fileMax }) => fileMax)),
    conntrackMax: smallest(facts.map(({ conntrackMax }) => conntrackMax)),
    tcpMemMaximumPages: smallest(facts.map(({ tcpMemMaximumPages }) => tcpMemMaximumPages)),
    epollMaxUserWatches: smallest(facts.map(({ epollMaxUserWatches }) => epollMaxUserWatches)),
    maxTwBuckets: smallest(facts.map(({ maxTwBuckets }) => maxTwBuckets)),
    memoryBytes: smallest(facts.map(({ memoryBytes }) => memoryBytes)),
    runtimeNofile: soft === undefined || hard === undefined ? undefined : { soft, hard },
    settableNofile: smallest(facts.map(({ settableNofile }) => settableNofile)),
  };
};

/** The nodes where matching pods are; before there are any, all nodes that have an agent. */
export const nodeFactsFor = (cluster: Cluster, pods: readonly ClusterPod[]): NodeFacts | undefined => {
  const names = new Set(pods.flatMap(({ nodeName }) => (nodeName === undefined ? [] : [nodeName])));
  if (names.size === 0) return cluster.leastNodeFacts();
  const statuses = [...names].map(cluster.connectionNode);
  return smallestFacts(statuses.flatMap((status) => (status === undefined ? [] : [status.facts])));
};
