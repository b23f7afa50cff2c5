import type { CallOptions } from './transport.ts';

/** What calls to the API server take and give. */

export interface ListQuery {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** The largest number of objects on a page. */
  readonly limit?: number;
  /** `next` of the page before. */
  readonly from?: string;
  readonly resourceVersion?: string;
  /** Only apiVersion, kind and metadata of each object. */
  readonly metadataOnly?: boolean;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  /** Where the next page begins; undefined on the last. */
  readonly next: string | undefined;
}

export interface WriteOptions extends CallOptions {
  /** Who owns the fields that are written. Default: derived by the server from our user agent. */
  readonly fieldManager?: string;
}

/** Whose fields these are; `force` takes over fields that another manager owns. */
export interface ApplyOptions extends CallOptions {
  readonly fieldManager: string;
  readonly force?: boolean;
}

export interface JsonPatchStep {
  readonly op: 'add' | 'remove' | 'replace' | 'test';
  readonly path: string;
  readonly value?: unknown;
}

/** An array is an RFC 6902 JSON patch, an object an RFC 7386 merge patch. */
export type Patch = readonly JsonPatchStep[] | Readonly<Record<string, unknown>>;

export interface DeleteOptions extends CallOptions {
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
}
