import { demandFor } from '../api/demand.ts';
import { appliedPlanFor, planSectionFor } from '../api/plan-section.ts';
import { covers, type PlanSection, sectionHash } from '../api/pod-annotation.ts';
import type { Demand } from '../planner/demand.ts';
import { plan as planFor, type Plan } from '../planner/plan.ts';
import type { CarriedPlan } from './cluster.ts';
import type { MatchingPod, Situation } from './situation.ts';

export interface Planned {
  readonly demand: Demand;
  readonly plan: Plan;
  readonly section: PlanSection;
  readonly hash: string;
}

/** What a pod like this one gets today; without one, what the budget alone asks for. */
export const plannedFor = (situation: Situation, pod: MatchingPod | undefined): Planned => {
  const { budget, observed, facts } = situation;
  const demand = demandFor(budget.spec, { ...observed, pod: pod?.observed });
  const plan = planFor(demand, facts);
  const own =
    pod === undefined
      ? {}
      : {
          pod: {
            containerNames: pod.observed.containerNames,
            ownSysctls: pod.ownSysctls,
            hostNetwork: pod.observed.hostNetwork,
          },
        };
  // The key is no part of what is hashed.
  const section = planSectionFor({ budget, plan: appliedPlanFor(demand), keyId: 'unsigned', ...own });
  return { demand, plan, section, hash: sectionHash(section) };
};

const kindOf = ({ observed, ownSysctls }: MatchingPod): string =>
  JSON.stringify([observed, [...observed.memoryLimitBytes], [...ownSysctls]]);

export interface PodState extends MatchingPod {
  /** It carries what it would get today, or more. */
  readonly isCurrent: boolean;
  /** It does, and its agent saw it with what it carries. */
  readonly isVerified: boolean;
  /** Addresses that its plan asks Multus for and that Multus did not report. */
  readonly addressesMissing: number;
}

/** A larger plan is current too: docs/decisions/0006-a-larger-plan-is-current.md. */
const isAtLeast = (carried: CarriedPlan, { hash, section }: Planned): boolean =>
  carried.hash === hash || covers(carried.section, section);

const missingAddresses = ({ carried, attachedAddresses }: MatchingPod): number => {
  const { provider, extra } = carried?.section.sourceAddresses ?? { provider: 'None', extra: 0 };
  return provider === 'Multus' ? Math.max(0, extra - attachedAddresses) : 0;
};

/** The running pods and how far each is. Pods of one template are planned once. */
export const podStatesFor = (situation: Situation): readonly PodState[] => {
  const plans = new Map<string, Planned>();
  const planOf = (pod: MatchingPod): Planned => {
    const kind = kindOf(pod);
    const planned = plans.get(kind) ?? plannedFor(situation, pod);
    plans.set(kind, planned);
    return planned;
  };
  return situation.pods
    .filter(({ isRunning }) => isRunning)
    .map((pod) => {
      const { report, carried } = pod;
      const isCurrent = carried !== undefined && isAtLeast(carried, planOf(pod));
      const addressesMissing = missingAddresses(pod);
      const isSeen = report?.verified === true && report.sectionHash === carried?.hash;
      return {
        ...pod,
        isCurrent,
        addressesMissing,
        isVerified: isCurrent && isSeen && addressesMissing === 0,
      };
    });
};
