import { type BackoffLimits, backoffMs } from './backoff.ts';
import type { KubeClient } from './client.ts';
import { sleep } from './deadline.ts';
import { isKubeError, KubeError, type KubeErrorKind } from './kube-error.ts';
import { Outage } from './outage.ts';
import type { KubeObject, Resource } from './resources.ts';
import { createWatchStore, type Project, type WatchHandlers, type WatchStore } from './watch-store.ts';
import { listPages, watchOnce, type WatchScope } from './watch-stream.ts';

export type { WatchHandlers } from './watch-store.ts';

export type WatchReport =
  | { readonly type: 'Listed'; readonly objects: number }
  | { readonly type: 'Interrupted'; readonly error: KubeError; readonly retryInMs: number; readonly relists: boolean }
  | { readonly type: 'ProjectionFailed' | 'HandlerFailed'; readonly key: string; readonly error: unknown };

export interface ListWatchOptions<Wire extends KubeObject, T> {
  readonly client: KubeClient;
  readonly resource: Resource<Wire>;
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Only metadata is sent and parsed; `project` sees nothing else. */
  readonly metadataOnly?: boolean;
  /** What is kept of an object. It runs on each object as it arrives; the object itself is dropped. */
  readonly project: Project<Wire, T>;
  readonly handlers?: WatchHandlers<T>;
  /**
   * The server has begun to answer a watch: at the start, after every end, and so when it has taken a new definition of the
   * kind in use, for then it ends the watches of it. Must not throw.
   */
  readonly opened?: () => void;
  /** Everything that went wrong, and every complete list: for logs and metrics. Must not throw. */
  readonly report?: (report: WatchReport) => void;
  readonly signal: AbortSignal;
  /** The longest silence of a watch; the server's bookmarks come about every 60 s. Default 90,000. */
  readonly stallTimeoutMs?: number;
  /** Default 1,000 to 30,000. */
  readonly backoff?: BackoffLimits;
  /** False lists in pages and then watches, as is done anyway where the server refuses WatchList. */
  readonly watchList?: boolean;
}

export interface WatchCache<T> {
  /** The resource's name, e.g. "pods". */
  readonly plural: string;
  readonly get: (key: string) => T | undefined;
  readonly values: () => Iterable<T>;
  readonly keys: () => Iterable<string>;
  readonly size: () => number;
  /** Which objects of which versions it holds, in 32 bits (objectDigest): equal to the server's when the cache is. */
  readonly digest: () => number;
  /** Since the server said anything, a bookmark too; undefined before the first complete list. */
  readonly silentMs: () => number | undefined;
  readonly hasSynced: () => boolean;
  /**
   * For whoever has just heard of the server: where the watch could not reach it, it tries again now. Resolves when it has what
   * it missed; undefined: it missed nothing, or that is not worth waiting for.
   */
  readonly hurry: () => Promise<void> | undefined;
  /** Resolves after the first complete list, or when the watch was stopped before. */
  readonly synced: Promise<void>;
  /** Resolves when the signal fired and no handler will be called any more. */
  readonly stopped: Promise<void>;
}

/** How long a watch must have lived for its next failure to count as the first. */
const healthyAfterMs = 10_000;

/** What happened while a watch was away comes as soon as it goes on, without a mark where that ends. */
const catchUpMs = 50;

/** The watch can go on where it was: what was sent so far is whole, the server is only away. */
const resumable: ReadonlySet<KubeErrorKind> = new Set(['Network', 'TooManyRequests', 'Unavailable']);
/** What a server answers that will not answer otherwise soon: there is nothing to catch up with. */
const final: ReadonlySet<KubeErrorKind> = new Set(['NotFound', 'Forbidden', 'Unauthorized', 'BadRequest', 'Invalid']);
/** How a server says that it does not know WatchList; a very old one ignores it and never ends the initial events. */
const refusals: ReadonlySet<KubeErrorKind> = new Set(['Invalid', 'BadRequest', 'Timeout']);

/** A server whose own cache lags etcd by more than 3 s answers 504; it knows WatchList all the same (storage/errors.go). */
const isBehind = ({ causes }: KubeError): boolean => causes.some(({ reason }) => reason === 'ResourceVersionTooLarge');

interface WatchState {
  /** Undefined: the next attempt lists everything. */
  resumeFrom: string | undefined;
  watchList: boolean;
  failures: number;
  hasSynced: boolean;
  heardAtMs: number;
  /** The server has begun to answer the present attempt. */
  isReached: boolean;
  outage: Outage | undefined;
}

const stateAtStart = (watchList: boolean): WatchState => ({
  resumeFrom: undefined,
  watchList,
  failures: 0,
  hasSynced: false,
  heardAtMs: performance.now(),
  isReached: false,
  outage: undefined,
});

/** Keeps a projection of all objects of one kind equal to the API server's until the signal fires. */
export function startListWatch<Wire extends KubeObject, T>(options: ListWatchOptions<Wire, T>): WatchCache<T> {
  const handlers = options.handlers ?? {};
  const state = stateAtStart(options.watchList ?? true);
  const store = createWatchStore<Wire, T>({
    project: options.project,
    handlers,
    isStopped: () => options.signal.aborted,
    failed: (step, key, error) => options.report?.({ type: `${step}Failed`, key, error }),
  });
  const synced = Promise.withResolvers<void>();
  const listed = (resourceVersion: string): void => {
    store.endRelist();
    state.resumeFrom = resourceVersion;
    state.heardAtMs = performance.now();
    options.report?.({ type: 'Listed', objects: store.entries.size });
    endOutage(state);
    if (state.hasSynced) return;
    state.hasSynced = true;
    store.announceSynced();
    synced.resolve();
  };
  const stopped = keepWatching({ options, store, state, listed }).finally(synced.resolve);
  return {
    plural: options.resource.plural,
    get: (key) => store.entries.get(key)?.value,
    values: () => valuesOf(store),
    keys: () => store.entries.keys(),
    size: () => store.entries.size,
    digest: () => store.digest(),
    silentMs: () => (state.hasSynced ? performance.now() - state.heardAtMs : undefined),
    hasSynced: () => state.hasSynced,
    hurry: () => state.outage?.hurry(),
    synced: synced.promise,
    stopped,
  };
}

function endOutage(state: WatchState): void {
  state.outage?.end();
  state.outage = undefined;
}

function* valuesOf<Wire extends KubeObject, T>(store: WatchStore<Wire, T>): Iterable<T> {
  for (const entry of store.entries.values()) yield entry.value;
}

interface Watch<Wire extends KubeObject, T> {
  readonly options: ListWatchOptions<Wire, T>;
  readonly store: WatchStore<Wire, T>;
  readonly state: WatchState;
  readonly listed: (resourceVersion: string) => void;
}

async function keepWatching<Wire extends KubeObject, T>(watch: Watch<Wire, T>): Promise<void> {
  const { signal } = watch.options;
  while (!signal.aborted) {
    const startedAtMs = performance.now();
    try {
      await attempt(watch);
      watch.state.failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      const lifeMs = performance.now() - startedAtMs;
      await pauseAfter(watch, asKubeError(error), lifeMs);
    }
  }
}

async function pauseAfter<Wire extends KubeObject, T>(
  watch: Watch<Wire, T>,
  error: KubeError,
  lifeMs: number,
): Promise<void> {
  const { options, state } = watch;
  const isUnreached = error.status === 0 && !state.isReached;
  // How often a server could not be reached says nothing of one that answers.
  const isBack = !isUnreached && state.outage?.isFirstAnswer() === true;
  state.failures = lifeMs >= healthyAfterMs || isBack ? 1 : state.failures + 1;
  const pauseMs = retryAfter(watch, error);
  if (isUnreached) state.outage ??= new Outage();
  else if (final.has(error.kind)) endOutage(state);
  // A server that is busy is given its time.
  if (state.outage !== undefined && (isUnreached || error.kind === 'Gone'))
    await state.outage.pause(pauseMs, options.signal);
  else await sleep(pauseMs, options.signal);
}

/** One connection: lists if it has to, then follows. Returns when the server ended the watch in order. */
async function attempt<Wire extends KubeObject, T>({ options, store, state, listed }: Watch<Wire, T>): Promise<void> {
  let catchingUp: NodeJS.Timeout | undefined;
  const opened = (): void => {
    state.isReached = true;
    if (state.resumeFrom !== undefined) catchingUp = setTimeout(endOutage, catchUpMs, state);
    options.opened?.();
  };
  using _ = { [Symbol.dispose]: () => clearTimeout(catchingUp) };
  const scope: WatchScope<Wire> = { ...options, opened, stallTimeoutMs: options.stallTimeoutMs ?? 90_000 };
  state.isReached = false;
  if (state.resumeFrom === undefined) store.beginRelist();
  if (state.resumeFrom === undefined && !state.watchList) {
    const resourceVersion = await listPages(scope, (object) => store.change(object));
    // Stopped between two objects: the list is not whole, and what is missing from it was not deleted.
    if (options.signal.aborted) return;
    listed(resourceVersion);
  }
  await watchOnce(scope, state.resumeFrom, (event) => {
    state.heardAtMs = performance.now();
    if (event.type === 'Changed') store.change(event.object);
    if (event.type === 'Deleted') store.remove(event.object);
    if (state.resumeFrom !== undefined) state.resumeFrom = event.resourceVersion;
    else if (event.type === 'Bookmark' && event.endsInitialEvents) listed(event.resourceVersion);
  });
  if (state.resumeFrom === undefined) throw new KubeError('the watch ended before its list', { kind: 'Network' });
}

/** Decides how to go on after a failure, and returns how long to wait before. */
function retryAfter<Wire extends KubeObject, T>({ options, state }: Watch<Wire, T>, error: KubeError): number {
  const isRefused = refusals.has(error.kind) && !isBehind(error);
  if (state.resumeFrom === undefined && state.watchList && isRefused) {
    state.watchList = false;
  } else if (!resumable.has(error.kind)) {
    state.resumeFrom = undefined;
  }
  const limits = options.backoff ?? { baseMs: 1_000, maximumMs: 30_000 };
  const retryInMs = backoffMs(limits, state.failures, error.retryAfterMs);
  options.report?.({ type: 'Interrupted', error, retryInMs, relists: state.resumeFrom === undefined });
  return retryInMs;
}

function asKubeError(error: unknown): KubeError {
  return isKubeError(error) ? error : new KubeError('the watch failed', { kind: 'Malformed', cause: error });
}
