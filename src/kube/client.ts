import type { ApplyOptions, DeleteOptions, ListQuery, Page, Patch, WriteOptions } from './calls.ts';
import { credentialSource } from './credentials.ts';
import { fromServer } from './from-server.ts';
import type { KubeConfig } from './kube-config.ts';
import {
  applyRequest,
  createRequest,
  deleteRequest,
  listRequest,
  pageOf,
  patchRequest,
  updateRequest,
} from './requests.ts';
import { type Event, events, type KubeObject, objectPath } from './resources.ts';
import type { Resource, Target } from './resources.ts';
import { type CallOptions, createTransport, type Transport, type TransportOptions } from './transport.ts';
import { type HttpRequest, notLeading } from './wire.ts';

/** Small calls, each one request. Nothing is repeated: every failure is a KubeError for the caller to judge. */
export interface KubeClient {
  readonly transport: Transport;
  readonly get: <T extends KubeObject>(target: Target<T>, call: CallOptions) => Promise<T>;
  readonly list: <T extends KubeObject>(resource: Resource<T>, query: ListQuery, call: CallOptions) => Promise<Page<T>>;
  readonly create: <T extends KubeObject>(resource: Resource<T>, object: T, call: WriteOptions) => Promise<T>;
  /** PUT: the object's resourceVersion must be current, or it fails with Conflict. */
  readonly update: <T extends KubeObject>(target: Target<T>, object: T, call: WriteOptions) => Promise<T>;
  readonly delete: <T extends KubeObject>(target: Target<T>, call: DeleteOptions) => Promise<void>;
  /** Server-side apply; apiVersion, kind and name are filled in. */
  readonly apply: <T extends KubeObject>(target: Target<T>, fields: T, call: ApplyOptions) => Promise<T>;
  readonly patch: <T extends KubeObject>(target: Target<T>, patch: Patch, call: WriteOptions) => Promise<T>;
  readonly createEvent: (event: Event, call: CallOptions) => Promise<void>;
  readonly close: () => Promise<void>;
}

export function createKubeClient(config: KubeConfig, options: TransportOptions = {}): KubeClient {
  return clientOver(createTransport(credentialSource(config), options));
}

/**
 * The same client, but a write is refused with kind NotLeading as soon as `mayWrite` says no. It is asked before the
 * call, and again when the connection is ready: a process that was stopped in between sends headers at most. What is
 * left are the microseconds between that question and the system call; a write that must not even then come late has
 * to name the resourceVersion that it replaces.
 */
export function writingOnlyWhile(mayWrite: () => boolean, client: KubeClient): KubeClient {
  const { send } = client.transport;
  const guarded: Transport['send'] = async (request, call) => {
    if (request.method === 'GET') return send(request, call);
    if (!mayWrite()) throw notLeading();
    return send({ ...request, mayWrite }, call);
  };
  return clientOver({ ...client.transport, send: guarded });
}

function clientOver(transport: Transport): KubeClient {
  const send = async <T>(request: HttpRequest, call: CallOptions): Promise<T> =>
    fromServer<T>(await transport.send(request, call));
  const create: KubeClient['create'] = (resource, object, call) => send(createRequest(resource, object, call), call);
  return {
    transport,
    create,
    get: (target, call) => send({ method: 'GET', path: objectPath(target) }, call),
    list: async (resource, query, call) => pageOf(await send(listRequest(resource, query), call)),
    update: (target, object, call) => send(updateRequest(target, object, call), call),
    delete: async (target, call) => {
      await send(deleteRequest(target, call), call);
    },
    apply: (target, fields, call) => send(applyRequest(target, fields, call), call),
    patch: (target, patch, call) => send(patchRequest(target, patch, call), call),
    createEvent: async (event, call) => {
      await create(events, event, call);
    },
    close: transport.close,
  };
}
