import {
  type Attachment,
  attachmentKey,
  attachmentOffer,
  type AttachmentRequest,
  attachmentRequests,
} from '../addresses/multus.ts';
import { networksAnnotation } from '../addresses/network-annotation.ts';
import type { ConnectionBudget } from '../api/budget-object.ts';
import type { AttachmentOffer } from '../api/demand.ts';
import { givenAddressesOf, type PodManifest } from '../api/observed-pod.ts';
import { canAskMultus } from './pod-patch.ts';

/** What a pod may ask Multus for. */

const unreadableNetworks: AttachmentOffer = {
  most: 0,
  refusal: {
    reason: 'AttachmentNotUsable',
    message: `annotation ${networksAnnotation} of the pod cannot be read and is left as it is`,
  },
};

export interface PodAttachments {
  readonly offer: AttachmentOffer;
  readonly requestsFor: (extra: number) => readonly AttachmentRequest[];
}

/** `namespace/name`; undefined for a budget that asks no attachment. */
export const attachmentKeyOf = ({ namespace, spec }: ConnectionBudget): string | undefined => {
  const { provider, networkAttachmentName } = spec.sourceAddresses;
  if (provider !== 'Multus' || networkAttachmentName === undefined) return undefined;
  return attachmentKey(networkAttachmentName, namespace);
};

/** Of what this very pod is given. undefined for a budget that asks no attachment. */
export const podAttachmentsFor = (
  budget: ConnectionBudget,
  pod: PodManifest,
  attachment: Attachment | undefined,
): PodAttachments | undefined => {
  const key = attachmentKeyOf(budget);
  if (key === undefined) return undefined;
  const needs = { spec: budget.spec, given: givenAddressesOf(pod) };
  return {
    offer: canAskMultus(pod) ? attachmentOffer(key, attachment, needs) : unreadableNetworks,
    requestsFor: (extra) => (attachment === undefined ? [] : attachmentRequests(attachment, extra, needs)),
  };
};
