import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { startListWatch, type WatchCache, type WatchReport } from '../../src/kube/list-watch.ts';
import { objectDigest } from '../../src/kube/object-digest.ts';
import {
  endpointSlices,
  keyOf,
  type KubeObject,
  namespaces,
  nodes,
  pods,
  type Resource,
  services,
} from '../../src/kube/resources.ts';
import {
  projectBudget,
  projectConnectionNode,
  projectNamespace,
  projectPod,
  projectService,
  projectSlice,
} from '../../src/controller/projections.ts';
import { budgets, connectionNodes } from '../../src/controller/resources.ts';
import type { Soak } from './soak-setting.ts';

/** List-and-watches of the soak's own with the operator's projections, behind the proxy; and what the server has. */

interface Kind<Wire extends KubeObject, T> {
  readonly resource: Resource<Wire>;
  readonly project: (object: Wire) => T | undefined;
  readonly metadataOnly?: boolean;
}

/** What one kind has, in the cache and on the server, comparable. */
export interface Contents {
  readonly plural: string;
  /** By key, the projection as text. */
  readonly objects: ReadonlyMap<string, string>;
  readonly digest: number;
}

interface Followed {
  readonly plural: string;
  readonly cached: () => Contents;
  readonly onServer: (client: KubeClient, signal: AbortSignal) => Promise<Contents>;
  readonly synced: Promise<void>;
}

export interface SoakCaches {
  readonly kinds: readonly Followed[];
  readonly lists: () => number;
  /** By kind of error. */
  readonly interruptions: ReadonlyMap<string, number>;
  readonly synced: Promise<unknown>;
}

/** Watches of quiet kinds are listed anew that often too: a bookmark comes about once a minute. */
const stallTimeoutMs = 30_000;

export const followThroughProxy = (soak: Pick<Soak, 'proxy' | 'journal' | 'signal'>): SoakCaches => {
  const client = createKubeClient(soak.proxy.config);
  const interruptions = new Map<string, number>();
  let lists = 0;
  const report = (told: WatchReport): void => {
    if (told.type === 'Listed') lists += 1;
    if (told.type === 'Interrupted') interruptions.set(told.error.kind, (interruptions.get(told.error.kind) ?? 0) + 1);
    if (told.type === 'ProjectionFailed' || told.type === 'HandlerFailed')
      soak.journal.violation('the soak itself', `${told.type} of ${told.key}: ${String(told.error)}`);
  };
  const follow = <Wire extends KubeObject, T>(kind: Kind<Wire, T>): Followed => {
    const options = { backoff: { baseMs: 200, maximumMs: 5000 }, stallTimeoutMs, report, signal: soak.signal };
    return followed(kind, startListWatch<Wire, T>({ ...kind, client, ...options }));
  };
  const kinds = [
    follow({ resource: pods, project: projectPod }),
    follow({ resource: services, project: projectService }),
    follow({ resource: endpointSlices, project: projectSlice }),
    follow({ resource: namespaces, project: projectNamespace, metadataOnly: true }),
    follow({ resource: nodes, project: () => true, metadataOnly: true }),
    follow({ resource: budgets, project: projectBudget }),
    follow({ resource: connectionNodes, project: projectConnectionNode }),
  ];
  return { kinds, lists: () => lists, interruptions, synced: Promise.all(kinds.map(({ synced }) => synced)) };
};

const followed = <Wire extends KubeObject, T>(
  { resource, project, metadataOnly = false }: Kind<Wire, T>,
  cache: WatchCache<T>,
): Followed => ({
  plural: resource.plural,
  cached: () => ({
    plural: resource.plural,
    objects: new Map([...cache.keys()].map((key) => [key, textOf(cache.get(key))])),
    digest: cache.digest(),
  }),
  onServer: async (client, signal) => {
    const { items } = await client.list(resource, { metadataOnly }, { signal });
    const kept = items.map((object) => ({ object, value: project(object) })).filter(({ value }) => value !== undefined);
    return {
      plural: resource.plural,
      objects: new Map(kept.map(({ object, value }) => [keyOf(object.metadata ?? {}), textOf(value)])),
      digest: kept.reduce((sum, { object: { metadata } }) => (sum ^ digestOf(metadata)) >>> 0, 0),
    };
  },
  synced: cache.synced,
});

const digestOf = (metadata: KubeObject['metadata']): number =>
  objectDigest(metadata?.uid ?? '', metadata?.resourceVersion ?? '');

/** Maps of projections are written out too. */
const textOf = (value: unknown): string =>
  JSON.stringify(value, (_key, entry: unknown) => (entry instanceof Map ? [...entry] : entry));

/** What differs, in words; none where nothing does. */
export const differencesBetween = (server: Contents, cache: Contents): readonly string[] => {
  const keys = [...new Set([...server.objects.keys(), ...cache.objects.keys()])];
  const differing = keys.filter((key) => server.objects.get(key) !== cache.objects.get(key));
  const words = differing.map((key) => `${server.plural} ${key} ${howDiffers(server, cache, key)}`);
  if (words.length > 0 || server.digest === cache.digest) return words;
  return [`${server.plural}: versions differ`];
};

const howDiffers = (server: Contents, cache: Contents, key: string): string => {
  if (!cache.objects.has(key)) return 'is missing in the cache';
  if (!server.objects.has(key)) return 'is only in the cache';
  return 'differs';
};
