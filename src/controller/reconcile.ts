import type { ConnectionBudgetStatus } from '../api/budget-status.ts';
import { type Condition, conditionTypes } from '../api/conditions.ts';
import type { Plan } from '../planner/plan.ts';
import { appliedVerdict, verifiedVerdict } from './applied.ts';
import { feasibleVerdict, invalidVerdict } from './feasible.ts';
import { patienceEndsInMs } from './patience.ts';
import { type Planned, plannedFor, podStatesFor } from './planned.ts';
import { conflictVerdict, readyVerdict, type Verdicts } from './ready.ts';
import type { InvalidSituation, Situation, Verdict } from './situation.ts';
import { type Transition, transitionsFor } from './transitions.ts';
import { peakUsageFor, type UsageNow, usageNowOf } from './usage.ts';
import { shortened } from './wording.ts';
import type { PreviousStatus } from './stored-status.ts';

export interface Outcome {
  readonly status: ConnectionBudgetStatus;
  readonly transitions: readonly Transition[];
  readonly usageNow: UsageNow;
  /** When it has to be looked at again although nothing changes. */
  readonly againAfterMs?: number | undefined;
}

interface Timing {
  readonly generation: number;
  readonly previous: PreviousStatus | undefined;
  readonly now: Date;
}

/** A condition's time is that of its status: another reason or message is the same condition. Whole seconds, as stored. */
const conditionsFor = (verdicts: Verdicts, ready: Verdict, { generation, previous, now }: Timing): Condition[] =>
  conditionTypes.map((type) => {
    const { status, reason, message } = type === 'Ready' ? ready : verdicts[type];
    const before = previous?.conditions.find((condition) => condition.type === type);
    return {
      type,
      status,
      reason,
      message: shortened(message),
      observedGeneration: generation,
      lastTransitionTime: before?.status === status ? before.lastTransitionTime : `${now.toISOString().slice(0, 19)}Z`,
    };
  });

/** As the CRD says; many reserved ports are longer. */
const longestSysctl = 256;

const summaryOf = ({ plan, hash }: Planned): NonNullable<ConnectionBudgetStatus['plan']> => ({
  hash,
  declaredConnections: plan.connections.declared,
  plannedConnections: plan.connections.planned,
  reachableConnections: plan.connections.reachable,
  containers: plan.containers.map(({ name, processes, descriptors }) => ({
    name,
    processes,
    softDescriptors: descriptors.soft,
    hardDescriptors: descriptors.hard,
  })),
  sysctls: plan.sysctls.map(({ name, value, setBy }) => ({ name, value: shortened(value, longestSysctl), setBy })),
  sourceAddresses: plan.sourceAddresses,
  kernelMemoryBytes: plan.kernelMemoryBytes,
  chargedMemoryBytes: plan.chargedMemoryBytes,
});

const bindingOf = ({ bindingLimit }: Plan): Pick<ConnectionBudgetStatus, 'bindingLimit'> => {
  if (bindingLimit === undefined) return {};
  const { stage, limit, scope, flow, capacity = 0, needed, unit } = bindingLimit;
  return { bindingLimit: { stage, limit, scope, flow, capacity, needed, unit } };
};

const destinationsOf = ({ demand }: Planned, { observed, budget }: Situation): ConnectionBudgetStatus['destinations'] =>
  demand.outbound.flatMap(({ name, destinationAddresses, destinationPorts }, index) => {
    const service = budget.spec.outbound[index]?.destination.service;
    const key = `${service?.namespace ?? budget.namespace}/${service?.name ?? ''}`;
    const isResolved = service === undefined || observed.services.has(key);
    return isResolved
      ? [{ flow: name, targets: Math.min(destinationAddresses * destinationPorts, Number.MAX_SAFE_INTEGER) }]
      : [];
  });

const flowNamesOf = ({ spec }: Situation['budget']): ReadonlySet<string> =>
  new Set([...spec.inbound, ...spec.outbound].map(({ name }) => name));

const needsAgent = ({ section: { containers, sysctls, sourceAddresses } }: Planned): boolean =>
  containers.length > 0 ||
  Object.keys(sysctls).length > 0 ||
  sourceAddresses.extra > 0 ||
  sourceAddresses.ports !== undefined;

const concluded = (
  verdicts: Verdicts,
  timing: Timing,
  rest: Omit<ConnectionBudgetStatus, 'conditions' | 'message' | 'observedGeneration'>,
): Omit<Outcome, 'usageNow'> => {
  const ready = readyVerdict(verdicts);
  const conditions = conditionsFor(verdicts, ready, timing);
  const status = { observedGeneration: timing.generation, conditions, ...rest, message: shortened(ready.message) };
  return { status, transitions: transitionsFor(timing.previous, conditions, timing.now) };
};

const earlier = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);

/** What a budget's status is now, and what there is to tell. Value in, value out. */
export const reconcile = (situation: Situation): Outcome => {
  const planned = plannedFor(situation, situation.pods[0]);
  const states = podStatesFor(situation);
  const verdicts: Verdicts = {
    Feasible: feasibleVerdict(situation, planned),
    Applied: appliedVerdict(situation, states),
    Verified: verifiedVerdict(situation, states, { needsAgent: needsAgent(planned) }),
    Conflict: conflictVerdict(situation.rivals),
  };
  const { previous, now, budget } = situation;
  const timing = { generation: budget.generation, previous, now };
  const usageNow = usageNowOf(states, flowNamesOf(budget));
  const { usage, againAfterMs } = peakUsageFor(usageNow, timing);
  const outcome = concluded(verdicts, timing, {
    plan: summaryOf(planned),
    ...bindingOf(planned.plan),
    destinations: destinationsOf(planned, situation),
    pods: {
      matched: states.length,
      applied: states.filter(({ isCurrent }) => isCurrent).length,
      verified: states.filter(({ isVerified }) => isVerified).length,
    },
    ...(usage === undefined ? {} : { usage }),
  });
  return { ...outcome, usageNow, againAfterMs: earlier(againAfterMs, patienceEndsInMs(states, now)) };
};

/** The same for a stored object that breaks a rule: nothing is planned, and the rule is named. */
export const reconcileInvalid = ({ generation, violations, previous, now }: InvalidSituation): Outcome => {
  const nothing: Verdict = {
    status: 'Unknown',
    reason: 'InvalidSpec',
    message: 'Nothing is planned for an invalid spec.',
  };
  const verdicts: Verdicts = {
    Feasible: invalidVerdict(violations),
    Applied: nothing,
    Verified: nothing,
    Conflict: conflictVerdict([]),
  };
  const outcome = concluded(verdicts, { generation, previous, now }, { destinations: [] });
  return { ...outcome, usageNow: usageNowOf([]) };
};
