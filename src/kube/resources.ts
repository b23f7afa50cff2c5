import type {
  EventsV1Event,
  V1ConfigMap,
  V1Lease,
  V1Namespace,
  V1Node,
  V1ObjectMeta,
  V1Pod,
  V1Service,
  V1EndpointSlice,
} from '@kubernetes/client-node';

/** client-node's types as they are on the wire: its `Date` fields are strings there, and nothing is written in place. */
export type AsJson<T> = T extends Date
  ? string
  : T extends readonly (infer Item)[]
    ? readonly AsJson<Item>[]
    : T extends object
      ? { readonly [Key in keyof T]: AsJson<T[Key]> }
      : T;

export type ObjectMeta = AsJson<V1ObjectMeta>;
export type Pod = AsJson<V1Pod>;
export type ConfigMap = AsJson<V1ConfigMap>;
export type Lease = AsJson<V1Lease>;
export type Node = AsJson<V1Node>;
export type Namespace = AsJson<V1Namespace>;
export type Service = AsJson<V1Service>;
export type EndpointSlice = AsJson<V1EndpointSlice>;
export type Event = AsJson<EventsV1Event>;

/** What every object has; a resource's own type is given to `Resource`. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: ObjectMeta;
}

/** One kind of object: where it is served, and (by `T`) what it looks like. The core group is "". */
export interface Resource<T extends KubeObject> {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** Never set; carries `T`. */
  readonly example?: T;
}

/** One object, or one of its subresources. */
export interface Target<T extends KubeObject> {
  readonly resource: Resource<T>;
  /** Left out for cluster-scoped objects. */
  readonly namespace?: string;
  readonly name: string;
  readonly subresource?: 'status' | 'scale';
}

const core = { group: '', version: 'v1', namespaced: true } as const;

export const pods: Resource<Pod> = { ...core, kind: 'Pod', plural: 'pods' };
export const configMaps: Resource<ConfigMap> = { ...core, kind: 'ConfigMap', plural: 'configmaps' };
export const services: Resource<Service> = { ...core, kind: 'Service', plural: 'services' };
export const nodes: Resource<Node> = { ...core, kind: 'Node', plural: 'nodes', namespaced: false };
export const namespaces: Resource<Namespace> = { ...core, kind: 'Namespace', plural: 'namespaces', namespaced: false };
export const endpointSlices: Resource<EndpointSlice> = {
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  plural: 'endpointslices',
  namespaced: true,
};
export const leases: Resource<Lease> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
};
export const events: Resource<Event> = {
  group: 'events.k8s.io',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
};

export function apiVersionOf(resource: Resource<KubeObject>): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** "/api/v1/namespaces/n/pods" or "/apis/GROUP/VERSION/PLURAL"; without a namespace, the objects of all namespaces. */
export function collectionPath(resource: Resource<KubeObject>, namespace?: string): string {
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const scope = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}${scope}/${resource.plural}`;
}

export function objectPath(target: Target<KubeObject>): string {
  const path = `${collectionPath(target.resource, target.namespace)}/${encodeURIComponent(target.name)}`;
  return target.subresource === undefined ? path : `${path}/${target.subresource}`;
}

/** The key of an object in caches and queues: "namespace/name", or "name" where there is no namespace. */
export function keyOf(metadata: { readonly namespace?: string; readonly name?: string }): string {
  return metadata.namespace === undefined ? (metadata.name ?? '') : `${metadata.namespace}/${metadata.name ?? ''}`;
}
