import type { ConnectionBudget } from '../api/budget-object.ts';
import type { ConnectionBudgetStatus } from '../api/budget-status.ts';
import type { ConditionReason, ConditionStatus } from '../api/conditions.ts';
import type { PodReport } from '../api/connection-node.ts';
import type { Observed, ObservedPod } from '../api/demand.ts';
import type { CarriedPlan } from './cluster.ts';
import type { Violation } from '../api/violations.ts';
import type { NodeFacts } from '../planner/demand.ts';

/** Everything that a decision about one budget rests on. */
export interface Situation {
  readonly budget: ConnectionBudget;
  /** Fields of its spec that this version does not know and does not plan. */
  readonly unknownFields: readonly string[];
  readonly observed: Observed;
  readonly facts: NodeFacts | undefined;
  /** Every pod that matches, has not ended and belongs to no older budget, newest first. */
  readonly pods: readonly MatchingPod[];
  /** Pods that match and that nobody may touch: Windows pods and the mirrors of static pods. */
  readonly untouchable: number;
  readonly rivals: readonly Rival[];
  readonly isNamespaceEnabled: boolean;
  readonly previous: ConnectionBudgetStatus | undefined;
  readonly now: Date;
}

/** The same for a stored object that breaks a rule. */
export interface InvalidSituation {
  readonly generation: number;
  readonly violations: readonly Violation[];
  readonly previous: ConnectionBudgetStatus | undefined;
  readonly now: Date;
}

export interface MatchingPod {
  readonly name: string;
  readonly isRunning: boolean;
  /** Why its kubelet does not start it, for a sysctl; undefined: it does. */
  readonly refusal?: string | undefined;
  readonly startedAt: string;
  readonly nodeName: string | undefined;
  readonly observed: ObservedPod;
  readonly ownSysctls: ReadonlyMap<string, string>;
  /** Addresses that Multus reports on our interfaces. */
  readonly attachedAddresses: number;
  readonly carried: CarriedPlan | undefined;
  /** What the agent of its node says of it. */
  readonly report: PodReport | undefined;
  readonly hasAgent: boolean;
  /** Why not, where there is an agent that says so. */
  readonly agentObstacle?: string | undefined;
}

/** Another budget that selects some of the same pods. */
export interface Rival {
  readonly name: string;
  /** Whether it has the pods that both select. */
  readonly wins: boolean;
  readonly pods: number;
}

/** A condition before it has its times. */
export interface Verdict {
  readonly status: ConditionStatus;
  readonly reason: ConditionReason;
  readonly message: string;
}
