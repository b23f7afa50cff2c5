import { isDeepStrictEqual } from 'node:util';
import { type ConnectionBudget, parseConnectionBudget } from '../api/budget-object.ts';
import { demandFor } from '../api/demand.ts';
import type { PodManifest } from '../api/observed-pod.ts';
import { winningBudget } from '../api/selector.ts';
import { type Violation, violationReason, violationText } from '../api/violations.ts';
import { plan as planFor } from '../planner/plan.ts';
import type { Admission, AdmissionRequest } from './admission-review.ts';
import { planPod, type PlanPod, type Signer } from './plan-pod.ts';
import { attachmentKeyOf } from './pod-attachments.ts';
import { readingOf } from './pod-reading.ts';
import type { Surroundings } from './surroundings.ts';
import { attachmentWarnings, bindingWarnings, namespaceWarnings } from './warnings.ts';

/** The decisions of the webhook: value in, value out. A dry run is answered like any other request. */

const allowed: Admission = { result: 'Allowed', warnings: [] };

/** A static pod's mirror must stay as its file is, or the kubelet replaces it for ever; Windows has no such limits. */
const isLeftAlone = ({ metadata, spec }: PodManifest): boolean =>
  spec?.os?.name === 'windows' || metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined;

/** The documented type of what the rule in the webhook's configuration sends; the API server has decoded it. */
const podOf = ({ object }: AdmissionRequest): PodManifest => object ?? {};

/** undefined: the pod is nobody's, or its budget only plans. */
const budgetFor = (
  { operation, subResource, namespace }: AdmissionRequest,
  pod: PodManifest,
  { budgetsMeaning }: Surroundings,
) => {
  if (operation !== 'CREATE' || subResource !== '' || isLeftAlone(pod)) return undefined;
  const labels = pod.metadata?.labels ?? {};
  const budget = winningBudget(budgetsMeaning({ namespace, labels }), labels);
  return budget?.spec.updatePolicy.mode === 'Off' ? undefined : budget;
};

export type AdmitPod = (request: AdmissionRequest, surroundings: Surroundings, signer: Signer) => Admission;

/** Chooses the budget; `plan` answers from the pod's reading alone. */
export const admitPodBy =
  (plan: PlanPod): AdmitPod =>
  (request, surroundings, signer) => {
    const pod = podOf(request);
    const { namespace } = request;
    const budget = budgetFor(request, pod, surroundings);
    if (budget === undefined) return allowed;
    const attachmentKey = attachmentKeyOf(budget);
    return plan(readingOf(pod), {
      budget,
      namespaceLabels: surroundings.namespaceLabels(namespace),
      observed: surroundings.observedFor(budget),
      node: surroundings.nodeFactsFor(budget),
      attachment: attachmentKey === undefined ? undefined : surroundings.attachment(attachmentKey),
      signer,
    });
  };

export const admitPod = admitPodBy(planPod);

const specOf = (object: unknown): unknown =>
  typeof object === 'object' && object !== null ? Reflect.get(object, 'spec') : undefined;

/** What is nested too deeply to be compared was never stored. */
const isSameSpec = (a: unknown, b: unknown): boolean => {
  try {
    return isDeepStrictEqual(specOf(a), specOf(b));
  } catch {
    return false;
  }
};

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
  if (operation === 'UPDATE' && isSameSpec(object, oldObject)) return allowed;
  const { budget, violations } = parseConnectionBudget(object);
  if (violations !== undefined) return refusalFor(violations);
  return { result: 'Allowed', warnings: budgetWarnings(budget, surroundings) };
};
