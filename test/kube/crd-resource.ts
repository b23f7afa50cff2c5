import type { CustomObject } from '../../src/controller/resources.ts';
import type { Resource } from '../../src/kube/resources.ts';

export const crds: Resource<CustomObject> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
};
