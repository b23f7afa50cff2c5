import { LinuxError, type LinuxErrorKind } from './linux-error.ts';
import type { NamespaceOperation, ResultsOf } from './namespace-operations.ts';
import type { NamespaceReply, NamespaceRequest, NamespaceWorkerData } from './namespace-worker-thread.ts';
import { NativeThread } from './native-thread.ts';
import { DEFAULT_PROC_ROOT } from './proc.ts';

export interface NamespaceWorkerOptions {
  /** A proc mount whose sys/net can be written; default /proc. */
  readonly procRoot?: string;
  /** Closes the worker. */
  readonly signal: AbortSignal;
  /** The longest that one request may take once it has the worker; default 1000. The start of a thread has 5000 more. */
  readonly timeoutMs?: number;
  /** Where the worker's body is when this file is part of a bundle. */
  readonly workerUrl?: URL;
  /** The thread is given up, and the next request starts another. */
  readonly onDiscarded?: (kind: LinuxErrorKind) => void;
}

export interface NamespaceWorker {
  /**
   * Performs the operations, in order, in the network namespace at `netnsPath` (/run/netns/…, /proc/PID/ns/net). What
   * fails inside is a result of its own. Rejects with LinuxError: Gone (no such path), NotPermitted, InvalidInput (not a
   * network namespace), TimedOut, Aborted, WorkerFailed. After WorkerFailed and TimedOut the operations may have been
   * performed.
   */
  run<const T extends readonly NamespaceOperation[]>(
    netnsPath: string,
    operations: T,
    signal?: AbortSignal,
  ): Promise<ResultsOf<T>>;
  /** Threads that were given up since one answered last. */
  readonly failuresInARow: number;
  close(): void;
}

interface PendingRequest {
  readonly request: NamespaceRequest;
  readonly resolve: (results: readonly unknown[]) => void;
  readonly reject: (error: LinuxError) => void;
}

const DEFAULT_TIMEOUT_MS = 1000;

// More for a thread that has yet to start: 30–60 ms on an idle machine, seconds on a crowded one.
const START_MS = 5000;

// V8 lets the young generation of an idle heap grow by 30 MB before it collects; 2 MB costs no time here.
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 2 } as const;

/** One thread, made at the first request and kept; requests take turns. An idle one does not keep the program running. */
export function createNamespaceWorker(options: NamespaceWorkerOptions): NamespaceWorker {
  const worker = new TurnTakingWorker(options);
  options.signal.addEventListener('abort', () => worker.close(), { once: true });
  if (options.signal.aborted) worker.close();
  return worker;
}

class TurnTakingWorker implements NamespaceWorker {
  readonly #options: NamespaceWorkerOptions;
  readonly #waiting: PendingRequest[] = [];
  #thread: NativeThread<NamespaceReply> | undefined;
  #current: PendingRequest | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lastId = 0;
  #failuresInARow = 0;
  #isClosed = false;

  constructor(options: NamespaceWorkerOptions) {
    this.#options = options;
  }

  get failuresInARow(): number {
    return this.#failuresInARow;
  }

  async run<const T extends readonly NamespaceOperation[]>(
    netnsPath: string,
    operations: T,
    signal?: AbortSignal,
  ): Promise<ResultsOf<T>>;
  async run(
    netnsPath: string,
    operations: readonly NamespaceOperation[],
    signal?: AbortSignal,
  ): Promise<readonly unknown[]> {
    requireOpen(netnsPath, { isClosed: this.#isClosed, signal });
    const { promise, resolve, reject } = Promise.withResolvers<readonly unknown[]>();
    this.#lastId += 1;
    const pending = { request: { id: this.#lastId, netnsPath, operations }, resolve, reject };
    const abort = (): void => this.#abort(pending);
    signal?.addEventListener('abort', abort, { once: true });
    this.#waiting.push(pending);
    this.#next();
    return promise.finally(() => signal?.removeEventListener('abort', abort));
  }

  close(): void {
    this.#isClosed = true;
    const pending = [...(this.#current === undefined ? [] : [this.#current]), ...this.#waiting.splice(0)];
    this.#discardThread();
    for (const { reject } of pending) reject(failed('Aborted', 'the namespace worker was closed'));
  }

  #next(): void {
    if (this.#current !== undefined) return;
    this.#current = this.#waiting.shift();
    if (this.#current === undefined) {
      this.#thread?.keepAlive(false);
      return;
    }
    const timeoutMs = (this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS) + (this.#thread === undefined ? START_MS : 0);
    this.#timer = setTimeout(() => this.#fail('TimedOut', 'the namespace worker did not answer in time'), timeoutMs);
    this.#thread ??= this.#startThread();
    this.#thread.keepAlive(true);
    this.#thread.post(this.#current.request);
  }

  #startThread(): NativeThread<NamespaceReply> {
    const { procRoot = DEFAULT_PROC_ROOT, workerUrl } = this.#options;
    const workerData: NamespaceWorkerData = { procRoot };
    return new NativeThread(workerUrl ?? new URL('./namespace-worker-thread.ts', import.meta.url), {
      workerData,
      resourceLimits: RESOURCE_LIMITS,
      name: 'namespaces',
      onMessage: (reply) => this.#settle(reply),
      onEnded: (cause) => this.#fail('WorkerFailed', 'the namespace worker ended', cause),
    });
  }

  #settle(reply: NamespaceReply): void {
    const current = this.#current;
    if (reply.outcome === 'Stranded') {
      this.#fail('WorkerFailed', reply.failure.message, new LinuxError(reply.failure));
      return;
    }
    this.#failuresInARow = 0;
    this.#endTurn();
    if (reply.outcome === 'Done') current?.resolve(reply.results);
    else current?.reject(new LinuxError(reply.failure));
    this.#next();
  }

  /** The worker is not to be trusted any more: the request that has it is rejected, the next one gets a new worker. */
  #fail(kind: LinuxErrorKind, message: string, cause?: unknown): void {
    const current = this.#current;
    this.#discardThread();
    this.#failuresInARow += 1;
    this.#options.onDiscarded?.(kind);
    current?.reject(failed(kind, message, cause));
    this.#next();
  }

  #abort(pending: PendingRequest): void {
    const index = this.#waiting.indexOf(pending);
    if (index >= 0) this.#waiting.splice(index, 1);
    pending.reject(failed('Aborted', 'the request was aborted'));
  }

  #endTurn(): void {
    clearTimeout(this.#timer);
    this.#current = undefined;
  }

  #discardThread(): void {
    this.#endTurn();
    this.#thread?.end();
    this.#thread = undefined;
  }
}

interface Asked {
  readonly isClosed: boolean;
  readonly signal: AbortSignal | undefined;
}

/** Throws LinuxError Aborted or InvalidInput. */
export function requireOpen(netnsPath: string, { isClosed, signal }: Asked): void {
  if (isClosed || signal?.aborted === true) throw failed('Aborted', 'the request was aborted');
  if (!/^\/[^\0]*$/.test(netnsPath)) throw failed('InvalidInput', 'the path of a namespace must be absolute');
}

function failed(kind: LinuxErrorKind, message: string, cause?: unknown): LinuxError {
  return new LinuxError({ kind, syscall: 'setns', message }, { cause });
}
