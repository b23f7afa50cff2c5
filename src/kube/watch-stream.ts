import type { Page } from './calls.ts';
import type { KubeClient } from './client.ts';
import { fromServer } from './from-server.ts';
import { KubeError } from './kube-error.ts';
import { createLineDecoder } from './line-decoder.ts';
import { createListDecoder } from './list-decoder.ts';
import { acceptFor, listRequest, pageOf } from './requests.ts';
import { collectionPath, type KubeObject, type Resource } from './resources.ts';
import { textWithoutManagedFields } from './managed-fields.ts';
import { createTurns } from './turns.ts';
import { checkUtf8 } from './utf8.ts';
import { parseWatchEvent, type WatchEvent } from './watch-event.ts';
import { type HttpRequest, parseBody } from './wire.ts';

/** Which objects, and how patiently. */
export interface WatchScope<T extends KubeObject> {
  readonly client: KubeClient;
  readonly resource: Resource<T>;
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly metadataOnly?: boolean;
  readonly stallTimeoutMs: number;
  /** The server has begun to answer a watch. */
  readonly opened?: () => void;
  readonly signal: AbortSignal;
}

/** etcd refuses objects above 1.5 MiB; escaping can make one longer in JSON, at worst six bytes for one. */
const maximumObjectBytes = 16 * 1024 * 1024;
const pageSize = 500;
/** A list may take the server long to prepare for the first byte. */
const firstByteTimeoutMs = 30_000;
/** A server that ends watches faster than this is not well, and is not asked again at once. */
const shortestWatchMs = 1_000;

const textToParse = (bytes: Buffer): string => textWithoutManagedFields(checkUtf8(bytes));

/** Lists page by page, each object handed on and dropped; returns the resourceVersion to watch from. */
export async function listPages<T extends KubeObject>(scope: WatchScope<T>, add: (object: T) => void): Promise<string> {
  const { client, resource, signal, stallTimeoutMs, ...query } = scope;
  let from: string | undefined;
  for (;;) {
    const position = from === undefined ? {} : { from };
    const request = listRequest(resource, { ...query, ...position, limit: pageSize });
    const options = { signal, stallTimeoutMs, timeoutMs: firstByteTimeoutMs };
    const page = await readPage(await client.transport.stream(request, options), (object) => {
      if (!signal.aborted) add(fromServer<T>(object));
    });
    if (page.next === undefined) return page.resourceVersion;
    from = page.next;
  }
}

async function readPage(body: AsyncIterable<Buffer>, add: (object: unknown) => void): Promise<Page<unknown>> {
  const decoder = createListDecoder(maximumObjectBytes, textToParse);
  const turn = createTurns();
  for await (const chunk of body) {
    for (const text of decoder.push(chunk)) add(parseBody(text));
    await turn();
  }
  const page = pageOf<unknown>(parseBody(decoder.rest()));
  if (page.resourceVersion === '') throw new KubeError('the list has no resourceVersion', { kind: 'Malformed' });
  return page;
}

/**
 * One watch, from a resourceVersion or (undefined) from a list that the server sends as the first events. Returns when
 * the server ends it, which it does in order every few minutes; throws KubeError for every other end.
 */
export async function watchOnce<T extends KubeObject>(
  scope: WatchScope<T>,
  resumeFrom: string | undefined,
  handle: (event: WatchEvent<T>) => void,
): Promise<void> {
  const { signal, stallTimeoutMs } = scope;
  const startedAtMs = performance.now();
  const turn = createTurns();
  const decoder = createLineDecoder(maximumObjectBytes, textToParse);
  const options = { signal, stallTimeoutMs, timeoutMs: firstByteTimeoutMs };
  const body = await scope.client.transport.stream(watchRequest(scope, resumeFrom), options);
  scope.opened?.();
  for await (const chunk of body) {
    for (const line of decoder.push(chunk)) {
      if (signal.aborted) return;
      handle(parseWatchEvent<T>(line));
    }
    await turn();
  }
  if (decoder.pendingBytes() > 0) throw new KubeError('the watch was cut inside a line', { kind: 'Network' });
  if (performance.now() - startedAtMs < shortestWatchMs) {
    throw new KubeError('the watch ended as soon as it had begun', { kind: 'Network' });
  }
}

function watchRequest(scope: WatchScope<KubeObject>, resumeFrom: string | undefined): HttpRequest {
  const { labelSelector, fieldSelector } = scope;
  const initial = { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' };
  return {
    method: 'GET',
    path: collectionPath(scope.resource, scope.namespace),
    query: {
      watch: true,
      allowWatchBookmarks: true,
      labelSelector,
      fieldSelector,
      // Between 5 and 10 minutes, so that many watches do not end together.
      timeoutSeconds: Math.round(300 * (1 + Math.random())),
      ...(resumeFrom === undefined ? initial : { resourceVersion: resumeFrom }),
    },
    accept: acceptFor('watch', scope.metadataOnly),
  };
}
