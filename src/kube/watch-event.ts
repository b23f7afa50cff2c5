import { fromServer } from './from-server.ts';
import { errorForStatus, KubeError, type Status } from './kube-error.ts';
import type { KubeObject } from './resources.ts';

export type WatchEvent<T> =
  | { readonly type: 'Changed' | 'Deleted'; readonly object: T; readonly resourceVersion: string }
  | { readonly type: 'Bookmark'; readonly resourceVersion: string; readonly endsInitialEvents: boolean };

interface WireEvent {
  readonly type?: unknown;
  readonly object?: unknown;
}

/** Set by kube-apiserver on the bookmark that follows the last initial event (KEP-3157). */
const initialEventsEnd = 'k8s.io/initial-events-end';

/**
 * One line of a watch. Throws KubeError: the server's own for an ERROR event (410 is kind Gone), Malformed for
 * everything that is not an event of an object with a resourceVersion.
 */
export function parseWatchEvent<T extends KubeObject>(line: string): WatchEvent<T> {
  const { type, object } = parseLine(line);
  if (type === 'ERROR') throw errorForEvent(object);
  const known = fromServer<T | undefined>(object);
  const resourceVersion = known?.metadata?.resourceVersion;
  if (known === undefined || typeof resourceVersion !== 'string' || resourceVersion === '') throw malformed();
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      return { type: 'Changed', object: known, resourceVersion };
    case 'DELETED':
      return { type: 'Deleted', object: known, resourceVersion };
    case 'BOOKMARK':
      return { type: 'Bookmark', resourceVersion, endsInitialEvents: hasInitialEventsEnd(known) };
    default:
      throw malformed();
  }
}

function parseLine(line: string): WireEvent {
  try {
    const event: unknown = JSON.parse(line);
    if (typeof event === 'object' && event !== null) return event;
  } catch (cause) {
    throw malformed(cause);
  }
  throw malformed();
}

function errorForEvent(object: unknown): KubeError {
  const status: Status = typeof object === 'object' && object !== null ? object : {};
  return errorForStatus(typeof status.code === 'number' ? status.code : 500, status);
}

function hasInitialEventsEnd(object: KubeObject): boolean {
  return object.metadata?.annotations?.[initialEventsEnd] === 'true';
}

function malformed(cause?: unknown): KubeError {
  return new KubeError('a line of the watch is not an event', { kind: 'Malformed', cause });
}
