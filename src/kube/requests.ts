import type { ApplyOptions, DeleteOptions, ListQuery, Page, Patch, WriteOptions } from './calls.ts';
import { fromServer } from './from-server.ts';
import { apiVersionOf, collectionPath, type KubeObject, objectPath } from './resources.ts';
import type { Resource, Target } from './resources.ts';
import type { HttpRequest } from './wire.ts';

const metadataOnlyAccept = {
  list: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
  watch: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
} as const;

export function acceptFor(kind: 'list' | 'watch', metadataOnly: boolean | undefined): string {
  return metadataOnly === true ? metadataOnlyAccept[kind] : 'application/json';
}

export function listRequest(resource: Resource<KubeObject>, query: ListQuery): HttpRequest {
  const { labelSelector, fieldSelector, limit, resourceVersion } = query;
  return {
    method: 'GET',
    path: collectionPath(resource, query.namespace),
    query: { labelSelector, fieldSelector, limit, resourceVersion, continue: query.from },
    accept: acceptFor('list', query.metadataOnly),
  };
}

interface ListBody<T> {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly T[] | null;
}

export function pageOf<T>(body: unknown): Page<T> {
  const { metadata, items } = fromServer<ListBody<T> | undefined>(body) ?? {};
  const next = metadata?.continue;
  return {
    items: items ?? [],
    resourceVersion: metadata?.resourceVersion ?? '',
    next: next === '' ? undefined : next,
  };
}

export function createRequest<T extends KubeObject>(
  resource: Resource<T>,
  object: T,
  options: WriteOptions,
): HttpRequest {
  const path = collectionPath(resource, object.metadata?.namespace);
  return { method: 'POST', path, query: { fieldManager: options.fieldManager }, body: object };
}

export function updateRequest<T extends KubeObject>(target: Target<T>, object: T, options: WriteOptions): HttpRequest {
  return { method: 'PUT', path: objectPath(target), query: { fieldManager: options.fieldManager }, body: object };
}

export function deleteRequest(target: Target<KubeObject>, options: DeleteOptions): HttpRequest {
  const { preconditions, gracePeriodSeconds, propagationPolicy } = options;
  return {
    method: 'DELETE',
    path: objectPath(target),
    body: { apiVersion: 'v1', kind: 'DeleteOptions', preconditions, gracePeriodSeconds, propagationPolicy },
  };
}

/** The type says YAML, of which JSON is a part. */
export function applyRequest(target: Target<KubeObject>, fields: KubeObject, options: ApplyOptions): HttpRequest {
  const { name, namespace, resource } = target;
  const metadata = { ...fields.metadata, name, namespace };
  return {
    method: 'PATCH',
    path: objectPath(target),
    query: { fieldManager: options.fieldManager, force: options.force },
    body: { ...fields, apiVersion: apiVersionOf(resource), kind: resource.kind, metadata },
    contentType: 'application/apply-patch+yaml',
  };
}

export function patchRequest(target: Target<KubeObject>, patch: Patch, options: WriteOptions): HttpRequest {
  const contentType = Array.isArray(patch) ? 'application/json-patch+json' : 'application/merge-patch+json';
  const query = { fieldManager: options.fieldManager };
  return { method: 'PATCH', path: objectPath(target), query, body: patch, contentType };
}
