import { objectDigest } from './object-digest.ts';
import { type KubeObject, keyOf } from './resources.ts';

export interface WatchHandlers<T> {
  /** Once, after the first complete list. */
  readonly synced?: () => void;
  readonly upserted?: (key: string, value: T, previous: T | undefined) => void;
  readonly deleted?: (key: string, value: T) => void;
}

/** `previous` is what was kept of the same object (by uid) before: its parts may be kept on where they are the same. */
export type Project<Wire extends KubeObject, T> = (object: Wire, previous: T | undefined) => T | undefined;

export interface StoreOptions<Wire extends KubeObject, T> {
  /** What to keep of an object; undefined: nothing, as if it were not there. */
  readonly project: Project<Wire, T>;
  readonly handlers: WatchHandlers<T>;
  /** From then on no handler is called. */
  readonly isStopped: () => boolean;
  readonly failed: (step: 'Projection' | 'Handler', key: string, error: unknown) => void;
}

/** The projections of all objects seen, and the rules by which a stream of objects becomes calls of handlers. */
export interface WatchStore<Wire extends KubeObject, T> {
  readonly entries: ReadonlyMap<string, { readonly value: T }>;
  /** XOR of objectDigest over all entries. */
  readonly digest: () => number;
  readonly change: (object: Wire) => void;
  readonly remove: (object: Wire) => void;
  readonly beginRelist: () => void;
  /** Everything that was not seen since `beginRelist` was deleted meanwhile. */
  readonly endRelist: () => void;
  /** Tells the handlers that the first list is complete. */
  readonly announceSynced: () => void;
}

interface Entry<T> {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly value: T;
}

/**
 * | before   | object now             | calls                                  |
 * |----------|------------------------|----------------------------------------|
 * | none     | projected              | upserted(new, undefined)               |
 * | same uid | same resourceVersion   | none                                   |
 * | same uid | projected              | upserted(new, old)                     |
 * | other uid| projected              | deleted(old), upserted(new, undefined) |
 * | any      | projected to undefined | deleted(old)                           |
 * | same uid | projection throws      | none, the old value is kept            |
 */
export function createWatchStore<Wire extends KubeObject, T>(options: StoreOptions<Wire, T>): WatchStore<Wire, T> {
  return new ProjectionStore(options);
}

class ProjectionStore<Wire extends KubeObject, T> implements WatchStore<Wire, T> {
  readonly entries = new Map<string, Entry<T>>();
  readonly #options: StoreOptions<Wire, T>;
  #seen: Set<string> | undefined;
  #digest = 0;

  constructor(options: StoreOptions<Wire, T>) {
    this.#options = options;
  }

  digest(): number {
    return this.#digest;
  }

  change(object: Wire): void {
    const metadata = object.metadata ?? {};
    const { uid = '', resourceVersion = '' } = metadata;
    const key = keyOf(metadata);
    this.#seen?.add(key);
    const before = this.entries.get(key);
    if (before !== undefined && before.uid !== uid) this.#drop(key);
    else if (before?.resourceVersion === resourceVersion) return;
    const projection = this.#project(key, object);
    if (projection === 'Failed') return;
    if (projection.value === undefined) this.#drop(key);
    else this.#put(key, { uid, resourceVersion, value: projection.value });
  }

  remove(object: Wire): void {
    this.#drop(keyOf(object.metadata ?? {}));
  }

  beginRelist(): void {
    this.#seen = new Set();
  }

  endRelist(): void {
    const present = this.#seen;
    this.#seen = undefined;
    if (present === undefined) return;
    for (const key of this.entries.keys()) if (!present.has(key)) this.#drop(key);
  }

  announceSynced(): void {
    this.#call('', () => this.#options.handlers.synced?.());
  }

  #put(key: string, entry: Entry<T>): void {
    const previous = this.entries.get(key);
    if (previous !== undefined) this.#toggle(previous);
    this.#toggle(entry);
    this.entries.set(key, entry);
    this.#call(key, () => this.#options.handlers.upserted?.(key, entry.value, previous?.value));
  }

  #drop(key: string): void {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    this.#toggle(entry);
    this.entries.delete(key);
    this.#call(key, () => this.#options.handlers.deleted?.(key, entry.value));
  }

  #toggle({ uid, resourceVersion }: Entry<T>): void {
    this.#digest = (this.#digest ^ objectDigest(uid, resourceVersion)) >>> 0;
  }

  #project(key: string, object: Wire): { readonly value: T | undefined } | 'Failed' {
    try {
      return { value: this.#options.project(object, this.entries.get(key)?.value) };
    } catch (error) {
      this.#options.failed('Projection', key, error);
      return 'Failed';
    }
  }

  /** Handlers are somebody else's code: what they throw, or reject with later, is reported and goes no further. */
  #call(key: string, handler: () => unknown): void {
    if (this.#options.isStopped()) return;
    const failed = (error: unknown): void => this.#options.failed('Handler', key, error);
    try {
      const result = handler();
      if (result instanceof Promise) result.catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}
