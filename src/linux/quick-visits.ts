import { type LinuxError, linuxErrorFrom } from './linux-error.ts';
import type { NamespaceOperation, ResultsOf } from './namespace-operations.ts';
import { NamespaceVisitor, StrandedError } from './namespace-visit.ts';
import { type NamespaceWorker, requireOpen } from './namespace-worker.ts';
import { DEFAULT_PROC_ROOT } from './proc.ts';

/** What the kernel answers without waiting for anybody; what takes the lock of all network interfaces is not among it. */
const quick: ReadonlySet<NamespaceOperation['operation']> = new Set([
  'ReadSysctl',
  'WriteSysctl',
  'EnsureSysctl',
  'ReadSocketTotals',
  'ReadNetnsCookie',
  'OpenSockDiag',
  'OpenIterator',
] as const);

export interface QuickVisitsOptions {
  /** As of the worker. */
  readonly procRoot?: string;
  /** The calling thread is in another network namespace and cannot leave it: ends the process. */
  readonly onStranded: (error: LinuxError) => never;
}

/**
 * The same as the worker, whose thread is not asked where all operations are quick: the calling thread makes such a visit itself
 * and at once, in tens of microseconds.
 */
export function withQuickVisits(worker: NamespaceWorker, options: QuickVisitsOptions): NamespaceWorker {
  return new QuickVisits(worker, options);
}

class QuickVisits implements NamespaceWorker {
  readonly #worker: NamespaceWorker;
  readonly #options: QuickVisitsOptions;
  readonly #visitor: NamespaceVisitor;
  #isClosed = false;

  constructor(worker: NamespaceWorker, options: QuickVisitsOptions) {
    this.#worker = worker;
    this.#options = options;
    this.#visitor = new NamespaceVisitor(options.procRoot ?? DEFAULT_PROC_ROOT);
  }

  get failuresInARow(): number {
    return this.#worker.failuresInARow;
  }

  async run<const T extends readonly NamespaceOperation[]>(
    netnsPath: string,
    operations: T,
    signal?: AbortSignal,
  ): Promise<ResultsOf<T>> {
    if (!operations.every(({ operation }) => quick.has(operation)))
      return this.#worker.run(netnsPath, operations, signal);
    requireOpen(netnsPath, { isClosed: this.#isClosed, signal });
    return this.#visit(netnsPath, operations) as ResultsOf<T>;
  }

  #visit(netnsPath: string, operations: readonly NamespaceOperation[]): readonly unknown[] {
    try {
      return this.#visitor.visit(netnsPath, operations);
    } catch (error) {
      if (error instanceof StrandedError) this.#options.onStranded(error);
      throw linuxErrorFrom(error, { syscall: 'setns', attempt: `visit ${netnsPath}` });
    }
  }

  close(): void {
    if (!this.#isClosed) this.#visitor[Symbol.dispose]();
    this.#isClosed = true;
    this.#worker.close();
  }
}
