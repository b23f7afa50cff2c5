import { apiVersion, budgetPlural, group, nodePlural, version } from '../api/names.ts';
import type { KubeObject, Resource } from '../kube/resources.ts';

/** Our own kinds, as they come: the spec may be anything until it is parsed. */
export interface CustomObject extends KubeObject {
  readonly spec?: unknown;
  readonly status?: unknown;
}

export const budgets: Resource<CustomObject> = {
  group,
  version,
  kind: 'ConnectionBudget',
  plural: budgetPlural,
  namespaced: true,
};

export const connectionNodes: Resource<CustomObject> = {
  group,
  version,
  kind: 'ConnectionNode',
  plural: nodePlural,
  namespaced: false,
};
/** Of the Network Plumbing Working Group: a cluster without Multus does not have this kind. */
export const networkAttachments: Resource<CustomObject> = {
  group: 'k8s.cni.cncf.io',
  version: 'v1',
  kind: 'NetworkAttachmentDefinition',
  plural: 'network-attachment-definitions',
  namespaced: true,
};
export const budgetApiVersion = apiVersion;
