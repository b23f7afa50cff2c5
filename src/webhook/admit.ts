import { isDeepStrictEqual } from 'node:util';
import {
  type Attachment,
  attachmentKey,
  attachmentOffer,
  type AttachmentRequest,
  attachmentRequests,
} from '../addresses/multus.ts';
import { networksAnnotation } from '../addresses/network-annotation.ts';
import { type ConnectionBudget, parseConnectionBudget } from '../api/budget-object.ts';
import { type AttachmentOffer, demandFor } from '../api/demand.ts';
import { givenAddressesOf, type PodManifest } from '../api/observed-pod.ts';
import { encodeAnnotation, type PlanSection } from '../api/pod-annotation.ts';
import { podPlanFor } from '../api/plan-section.ts';
import { winningBudget } from '../api/selector.ts';
import { type Violation, violationReason, violationText } from '../api/violations.ts';
import { plan as planFor } from '../planner/plan.ts';
import type { Admission, AdmissionRequest } from './admission-review.ts';
import { canAskMultus, podPatchFor } from './pod-patch.ts';
import type { Surroundings } from './surroundings.ts';
import { attachmentWarnings, bindingWarnings, namespaceWarnings, podWarnings } from './warnings.ts';

/** The decisions of the webhook: value in, value out. A dry run is answered like any other request. */

export interface Signer {
  readonly keyId: string;
  readonly sign: (section: PlanSection, namespace: string) => Buffer;
}

const allowed: Admission = { result: 'Allowed', warnings: [] };

/** A static pod's mirror must stay as its file is, or the kubelet replaces it for ever; Windows has no such limits. */
const isLeftAlone = ({ metadata, spec }: PodManifest): boolean =>
  spec?.os?.name === 'windows' || metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined;

/** The documented type of what the rule in the webhook's configuration sends; the API server has decoded it. */
const podOf = ({ object }: AdmissionRequest): PodManifest => object ?? {};

/** Namespace labels that nobody has seen: the webhook is only asked for namespaces that are labelled. */
const definedLabels = (labels: ReturnType<Surroundings['namespaceLabels']>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(labels ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined));

const unreadableNetworks: AttachmentOffer = {
  most: 0,
  refusal: {
    reason: 'AttachmentNotUsable',
    message: `annotation ${networksAnnotation} of the pod cannot be read and is left as it is`,
  },
};

interface Offer {
  readonly attachment: AttachmentOffer;
  readonly requestsFor: (extra: number) => readonly AttachmentRequest[];
}

/** Of what this very pod is given. undefined for a budget that asks no attachment. */
const offerFor = (
  { namespace, spec }: ConnectionBudget,
  pod: PodManifest,
  surroundings: Surroundings,
): Offer | undefined => {
  const { provider, networkAttachmentName } = spec.sourceAddresses;
  if (provider !== 'Multus' || networkAttachmentName === undefined) return undefined;
  const key = attachmentKey(networkAttachmentName, namespace);
  const attachment: Attachment | undefined = surroundings.attachment(key);
  const needs = { spec, given: givenAddressesOf(pod) };
  return {
    attachment: canAskMultus(pod) ? attachmentOffer(key, attachment, needs) : unreadableNetworks,
    requestsFor: (extra) => (attachment === undefined ? [] : attachmentRequests(attachment, extra, needs)),
  };
};

export const admitPod = (request: AdmissionRequest, surroundings: Surroundings, signer: Signer): Admission => {
  const pod = podOf(request);
  const { namespace } = request;
  const budget = winningBudget(surroundings.budgetsIn(namespace), pod.metadata?.labels ?? {});
  if (request.operation !== 'CREATE' || request.subResource !== '' || isLeftAlone(pod)) return allowed;
  if (budget === undefined || budget.spec.updatePolicy.mode === 'Off') return allowed;
  const offer = offerFor(budget, pod, surroundings);
  const podPlan = podPlanFor({
    budget,
    pod,
    namespaceLabels: definedLabels(surroundings.namespaceLabels(namespace)),
    observed: { ...surroundings.observedFor(budget), attachment: offer?.attachment },
    node: surroundings.nodeFactsFor(budget),
    keyId: signer.keyId,
  });
  const annotation = encodeAnnotation(podPlan.section, signer.sign(podPlan.section, namespace));
  const attachments = offer?.requestsFor(podPlan.section.sourceAddresses.extra) ?? [];
  const patch = podPatchFor(pod, { sysctls: podPlan.kubeletSysctls, annotation, attachments });
  const warnings = [...attachmentWarnings(budget, offer?.attachment), ...podWarnings(budget, podPlan)];
  return patch.length === 0 ? { result: 'Allowed', warnings } : { result: 'Patched', patch, warnings };
};

const specOf = (object: unknown): unknown =>
  typeof object === 'object' && object !== null ? Reflect.get(object, 'spec') : undefined;

const refusalFor = (violations: readonly Violation[]): Admission => ({
  result: 'Refused',
  warnings: [],
  refusal: {
    message: violations.map(violationText).join('; '),
    causes: violations.map((violation) => ({ field: violation.field, message: violationReason(violation) })),
  },
});

const budgetWarnings = (budget: ConnectionBudget, surroundings: Surroundings): readonly string[] => {
  const observed = surroundings.observedFor(budget);
  const plan = planFor(demandFor(budget.spec, observed), surroundings.nodeFactsFor(budget));
  const isOff = budget.spec.updatePolicy.mode === 'Off';
  const namespace = isOff ? [] : namespaceWarnings(budget, surroundings.namespaceLabels(budget.namespace));
  return [...attachmentWarnings(budget, observed.attachment), ...bindingWarnings(budget, plan), ...namespace];
};

/**
 * Refuses a spec that breaks a rule. A stored spec that has become invalid may keep everything but itself: labels and
 * finalizers change, so that it can be deleted.
 */
export const admitBudget = (request: AdmissionRequest, surroundings: Surroundings): Admission => {
  const { operation, object, oldObject, subResource } = request;
  if ((operation !== 'CREATE' && operation !== 'UPDATE') || subResource !== '') return allowed;
  if (operation === 'UPDATE' && isDeepStrictEqual(specOf(object), specOf(oldObject))) return allowed;
  const { budget, violations } = parseConnectionBudget(object);
  if (violations !== undefined) return refusalFor(violations);
  return { result: 'Allowed', warnings: budgetWarnings(budget, surroundings) };
};
