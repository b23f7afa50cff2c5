import type { Attachment } from '../addresses/multus.ts';
import type { ConnectionBudget } from '../api/budget-object.ts';
import type { Observed } from '../api/demand.ts';
import type { PodManifest } from '../api/observed-pod.ts';
import { encodeAnnotation, type PlanSection } from '../api/pod-annotation.ts';
import { podPlanFor } from '../api/plan-section.ts';
import type { Labels } from '../api/selector.ts';
import type { NodeFacts } from '../planner/demand.ts';
import type { Admission } from './admission-review.ts';
import { podAttachmentsFor } from './pod-attachments.ts';
import { podPatchFor } from './pod-patch.ts';
import { attachmentWarnings, podWarnings } from './warnings.ts';

export interface Signer {
  readonly keyId: string;
  readonly sign: (section: PlanSection, namespace: string) => Buffer;
}

/**
 * What the answer for a pod rests on besides the pod. The budget is known by its uid and generation; the rest are values that
 * stay the very same until something changes.
 */
export interface Circumstances {
  readonly budget: ConnectionBudget;
  readonly namespaceLabels: Labels | undefined;
  readonly observed: Observed;
  readonly node: NodeFacts | undefined;
  /** The one that the budget names. */
  readonly attachment: Attachment | undefined;
  readonly signer: Signer;
}

export type PlanPod = (reading: PodManifest, circumstances: Circumstances) => Admission;

/** Namespace labels that nobody has seen: the webhook is only asked for namespaces that are labelled. */
const definedLabels = (labels: Labels | undefined): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(labels ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined));

export const planPod: PlanPod = (reading, { budget, namespaceLabels, observed, node, attachment, signer }) => {
  const attachments = podAttachmentsFor(budget, reading, attachment);
  const podPlan = podPlanFor({
    budget,
    pod: reading,
    namespaceLabels: definedLabels(namespaceLabels),
    observed: { ...observed, attachment: attachments?.offer },
    node,
    keyId: signer.keyId,
  });
  const { section, kubeletSysctls: sysctls } = podPlan;
  const patch = podPatchFor(reading, {
    sysctls,
    annotation: encodeAnnotation(section, signer.sign(section, budget.namespace)),
    attachments: attachments?.requestsFor(section.sourceAddresses.extra) ?? [],
  });
  const warnings = [...attachmentWarnings(budget, attachments?.offer), ...podWarnings(budget, podPlan)];
  return patch.length === 0 ? { result: 'Allowed', warnings } : { result: 'Patched', patch, warnings };
};

/** Of a few KiB each; when there are so many, all are forgotten. */
const mostRemembered = 1024;
/** A reading that is longer (thousands of ports) is planned each time. */
const longestReading = 4096;

const areSame = (a: Circumstances, b: Circumstances): boolean =>
  a.namespaceLabels === b.namespaceLabels &&
  a.observed === b.observed &&
  a.node === b.node &&
  a.attachment === b.attachment &&
  a.signer === b.signer;

/** Pods of one template are read alike, so that each template is planned once until its circumstances change. */
export const remembering = (plan: PlanPod): PlanPod => {
  const remembered = new Map<string, { readonly circumstances: Circumstances; readonly admission: Admission }>();
  return (reading, circumstances) => {
    const text = JSON.stringify(reading);
    if (text.length > longestReading) return plan(reading, circumstances);
    const { uid, generation } = circumstances.budget;
    const key = `${uid} ${generation} ${text}`;
    const known = remembered.get(key);
    if (known !== undefined && areSame(known.circumstances, circumstances)) return known.admission;
    const admission = plan(reading, circumstances);
    if (remembered.size >= mostRemembered) remembered.clear();
    remembered.set(key, { circumstances, admission });
    return admission;
  };
};
