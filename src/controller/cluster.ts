import type { Attachment } from '../addresses/multus.ts';
import type { ParsedBudget } from '../api/budget-object.ts';
import type { ConnectionBudgetStatus } from '../api/budget-status.ts';
import type { ConnectionNodeStatus } from '../api/connection-node.ts';
import type { ObservedPod } from '../api/demand.ts';
import type { LabelSelector } from '../api/flows.ts';
import type { AppliedSection } from '../api/pod-annotation.ts';
import type { NodeFacts } from '../planner/demand.ts';
import type { EndpointSliceObject, ServiceObject } from '../api/observed-service.ts';

/** What the controller keeps of the cluster's objects: only what a decision needs. */

export interface StoredBudget {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  readonly resourceVersion: string;
  /** An object that became invalid stays stored; its violations are its answer. */
  readonly parsed: ParsedBudget;
  /** undefined: none yet, or not one of ours. */
  readonly status: ConnectionBudgetStatus | undefined;
}

export interface ClusterPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly createdAt: string;
  /** When its first container started, RFC 3339; before that, when it was created. */
  readonly startedAt: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly nodeName: string | undefined;
  readonly isRunning: boolean;
  readonly isReady: boolean;
  /** Why its kubelet does not start it, for a sysctl; undefined: it does. */
  readonly refusal?: string | undefined;
  /** A Windows pod or a static pod's mirror. */
  readonly isLeftAlone: boolean;
  /** Its facts as far as the pod alone tells them: `kubeletReservesPorts` is the namespace's. */
  readonly observed: ObservedPod;
  /** Sysctls that the user set by hand. */
  readonly ownSysctls: ReadonlyMap<string, string>;
  /** What the user gives it for an attachment with IPAM static. */
  readonly givenAddresses: readonly string[];
  /** Addresses that Multus reports on our interfaces. */
  readonly attachedAddresses: number;
  /** The plan in its annotation; undefined: it has none that can be read. */
  readonly carried: CarriedPlan | undefined;
}

export interface CarriedPlan {
  readonly hash: string;
  readonly section: AppliedSection;
}

export interface ServiceSlice extends EndpointSliceObject {
  /** `namespace/name` */
  readonly serviceKey: string;
}

export type NamespaceLabels = Readonly<Record<string, string>>;

/** Lookups in what was seen last. Keys are `namespace/name`, or the name of a cluster-scoped object. */
export interface Cluster {
  readonly budget: (key: string) => StoredBudget | undefined;
  readonly budgetKeys: () => Iterable<string>;
  readonly budgetsIn: (namespace: string) => Iterable<StoredBudget>;
  /** The valid budgets of a pod's namespace one of whose selectors means it. */
  readonly budgetsMeaning: (pod: Pick<ClusterPod, 'namespace' | 'labels'>) => readonly StoredBudget[];
  /** Pods that have not ended and are not ending, and those that their kubelet has refused. */
  readonly podsSelected: (namespace: string, selector: LabelSelector) => readonly ClusterPod[];
  readonly service: (key: string) => ServiceObject | undefined;
  readonly slicesOf: (serviceKey: string) => Iterable<ServiceSlice>;
  /** A NetworkAttachmentDefinition by its key. */
  readonly attachment: (key: string) => Attachment | undefined;
  /** Those that decide something here; undefined: not seen yet. */
  readonly namespaceLabels: (namespace: string) => NamespaceLabels | undefined;
  /** The ConnectionNodes of nodes that exist, by name. */
  readonly connectionNode: (name: string) => ConnectionNodeStatus | undefined;
  readonly connectionNodeNames: () => Iterable<string>;
  /** The smallest value of each fact over all of them. */
  readonly leastNodeFacts: () => NodeFacts | undefined;
}

export const budgetKey = ({ namespace, name }: { readonly namespace: string; readonly name: string }): string =>
  `${namespace}/${name}`;
