import type { Attachment } from '../addresses/multus.ts';
import type { ConnectionBudget } from '../api/budget-object.ts';
import type { Observed } from '../api/demand.ts';
import type { Labels } from '../api/selector.ts';
import type { NodeFacts } from '../planner/demand.ts';

/** By what a budget means a pod. */
interface PodIdentity {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** What the process keeps in memory of the cluster: the webhook answers from it alone, never by a call. */
export interface Surroundings {
  /** The valid budgets of the pod's namespace that may be its own, in any order; not all of a namespace are looked at. */
  readonly budgetsMeaning: (pod: PodIdentity) => readonly ConnectionBudget[];
  /** What was resolved last for a budget; a budget that nobody has seen yet: nothingObserved. */
  readonly observedFor: (budget: ConnectionBudget) => Observed;
  /** The smallest of what the nodes that may run its pods offer; undefined where no agent has told yet. */
  readonly nodeFactsFor: (budget: ConnectionBudget) => NodeFacts | undefined;
  /** A NetworkAttachmentDefinition by `namespace/name`; undefined: there is none. */
  readonly attachment: (key: string) => Attachment | undefined;
  /** undefined: not seen yet. */
  readonly namespaceLabels: (namespace: string) => Labels | undefined;
}
