import { kubeErrorKinds } from '../kube/kube-error.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { CacheContents } from './caches.ts';

const resources = [
  'connectionbudgets',
  'connectionnodes',
  'endpointslices',
  'namespaces',
  'network-attachment-definitions',
  'nodes',
  'pods',
  'services',
] as const;

export interface WatchMetrics {
  readonly listed: (resource: string) => void;
  readonly interrupted: (resource: string, kind: string) => void;
  /** A projection or an index could not take an object in: what is known of it is old. */
  readonly failed: (resource: string) => void;
}

export const watchMetrics = (metrics: Metrics): WatchMetrics => {
  const lists = metrics.counter({
    name: 'connectionbudget_watch_lists_total',
    help: 'Complete lists of a watched resource: one at the start, each further one after an interruption.',
    labels: { resource: resources },
  });
  const interruptions = metrics.counter({
    name: 'connectionbudget_watch_interruptions_total',
    help: 'Watches that broke and were started again.',
    labels: { resource: resources, kind: kubeErrorKinds },
  });
  const failures = metrics.counter({
    name: 'connectionbudget_watch_object_failures_total',
    help: 'Objects that could not be taken in.',
    labels: { resource: resources },
  });
  return {
    listed: (resource) => lists({ resource }),
    interrupted: (resource, kind) => interruptions({ resource, kind }),
    failed: (resource) => failures({ resource }),
  };
};

/** From which anybody who may list can tell whether a replica's caches equal the server (objectDigest). */
export const observeCaches = (metrics: Metrics, contents: () => readonly CacheContents[]): void => {
  const observed = (name: string, help: string, valueOf: (of: CacheContents) => number | undefined): void =>
    metrics.observedGauge({ name, help, labels: { resource: resources } }, () =>
      contents().flatMap((of) => {
        const value = valueOf(of);
        return value === undefined ? [] : [{ labels: { resource: of.resource }, value }];
      }),
    );
  observed(
    'connectionbudget_watch_cache_objects',
    'Objects that are held of a watched resource.',
    ({ objects }) => objects,
  );
  observed(
    'connectionbudget_watch_cache_digest',
    'Which objects of which versions are held: XOR over the 32-bit hashes of uid and resourceVersion.',
    ({ digest }) => digest,
  );
  observed(
    'connectionbudget_watch_silence_seconds',
    'Time since the last event or bookmark of a watched resource; bookmarks come about once a minute.',
    ({ silentMs }) => (silentMs === undefined ? undefined : silentMs / 1000),
  );
};
