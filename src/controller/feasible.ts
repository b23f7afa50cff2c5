import type { AttachmentOffer } from '../api/demand.ts';
import { type Violation, violationText } from '../api/violations.ts';
import { assumptionText } from '../planner/assumptions.ts';
import type { AssumptionKind } from '../planner/demand.ts';
import { amountText, numberText } from '../planner/explain.ts';
import { explainBinding } from '../planner/remedy.ts';
import type { Planned } from './planned.ts';
import type { Situation, Verdict } from './situation.ts';
import { counted, listed } from './wording.ts';

export const invalidVerdict = (violations: readonly Violation[]): Verdict => ({
  status: 'False',
  reason: 'InvalidSpec',
  message: `The spec breaks ${counted(violations.length, 'rule')}: ${listed(violations.map(violationText))}.`,
});

/** "Service messaging/broker (flow broker) does not exist", "… has no port 1883" */
const missingDestinations = ({ budget, observed }: Situation): readonly string[] =>
  budget.spec.outbound.flatMap(({ name, destination: { service } }) => {
    if (service === undefined) return [];
    const key = `${service.namespace ?? budget.namespace}/${service.name}`;
    const seen = observed.services.get(key);
    if (seen === undefined) return [`Service ${key} (flow ${name}) does not exist`];
    const ports = seen.readyEndpoints;
    return ports.size > 0 && !ports.has(service.port)
      ? [`Service ${key} (flow ${name}) has no port ${service.port}`]
      : [];
  });

/** Named containers that the newest pod does not have; undefined pods have no containers to miss. */
const missingContainers = ({ budget: { spec }, pods: [newest] }: Situation): readonly string[] => {
  if (newest === undefined) return [];
  const flows = [...spec.inbound, ...spec.outbound].flatMap(({ container }) => container ?? []);
  const named = new Set([...(spec.containers ?? []).map(({ name }) => name), ...flows]);
  return [...named].filter((name) => !newest.observed.containerNames.includes(name));
};

/** Assumptions in the place of something that a cluster could tell and did not. */
const unverified: ReadonlySet<AssumptionKind> = new Set(['EndpointsUnresolved', 'ClientsUnresolved', 'NodeUnknown']);

/** A container that was seen without a memory limit has none: nothing is unknown about it. */
const unknownsOf = ({ plan }: Planned, isPodKnown: boolean): readonly string[] => [
  ...plan.assumptions.filter(({ kind }) => unverified.has(kind)).map(assumptionText),
  ...plan.limits
    .filter(({ status, kind }) => status === 'Unknown' && kind !== 'Advice')
    .filter(({ limit }) => limit !== 'MemoryLimit' || !isPodKnown)
    .map(({ limit, needed, unit }) => `${limit} is Unknown and must hold ${amountText(needed, unit)}`),
];

const fits = ({ unknownFields, pods }: Situation, planned: Planned): Verdict => {
  const { declared, planned: withHeadroom, reachable } = planned.plan.connections;
  const numbers = `${numberText(declared)} connections per pod are declared, ${numberText(withHeadroom)} with headroom are planned, ${numberText(reachable)} can be reached`;
  const unknowns = [
    ...unknownFields.map((field) => `${field} is not known to this version and is not planned`),
    ...unknownsOf(planned, pods.length > 0),
  ];
  if (unknowns.length === 0) return { status: 'True', reason: 'PlanFits', message: `${numbers}.` };
  const message = `${numbers}; unverified: ${listed(unknowns, { separator: '; ' })}.`;
  return { status: 'True', reason: 'AssumptionsUnverified', message };
};

/** What does not exist may yet come, as a Service may; what cannot be used must be changed. */
const refusedVerdict = (
  { reason, message }: NonNullable<AttachmentOffer['refusal']>,
  { plan: { connections } }: Planned,
): Verdict => ({
  status: reason === 'AttachmentNotFound' ? 'Unknown' : 'False',
  reason,
  message: `${message}. Pods start without extra addresses: ${numberText(connections.reachable)} of ${numberText(connections.declared)} declared connections per pod can be reached.`,
});

/** Whether the plan reaches what is declared. */
export const feasibleVerdict = (situation: Situation, planned: Planned): Verdict => {
  const destinations = missingDestinations(situation);
  if (destinations.length > 0)
    return { status: 'Unknown', reason: 'DestinationNotFound', message: `${listed(destinations)}.` };
  const containers = missingContainers(situation);
  if (containers.length > 0) {
    const pod = situation.pods[0]?.name ?? '';
    return {
      status: 'Unknown',
      reason: 'ContainerNotFound',
      message: `Pod ${pod} has no container ${listed(containers)}.`,
    };
  }
  const refusal = situation.observed.attachment?.refusal;
  if (refusal !== undefined) return refusedVerdict(refusal, planned);
  const { bindingLimit } = planned.plan;
  if (bindingLimit === undefined) return fits(situation, planned);
  const { declared, reachable } = planned.plan.connections;
  const share = `${numberText(reachable)} of ${numberText(declared)} declared connections per pod can be reached`;
  const { message, remedy } = explainBinding(planned.demand, bindingLimit);
  return { status: 'False', reason: 'LimitBinds', message: `${share}. ${message}. Remedy: ${remedy}.` };
};
