import { parentPort, workerData } from 'node:worker_threads';

import { failureOf, type LinuxFailure, linuxErrorFrom } from './linux-error.ts';
import type { NamespaceOperation, OperationResult } from './namespace-operations.ts';
import { NamespaceVisitor, StrandedError } from './namespace-visit.ts';
import { sayLoaded } from './native-thread.ts';

/** The body of the namespace worker: a thread for visits that may take long. */
export interface NamespaceWorkerData {
  readonly procRoot: string;
}

export interface NamespaceRequest {
  readonly id: number;
  readonly netnsPath: string;
  readonly operations: readonly NamespaceOperation[];
}

export type NamespaceReply =
  | { readonly id: number; readonly outcome: 'Done'; readonly results: readonly OperationResult<unknown>[] }
  | { readonly id: number; readonly outcome: 'Refused'; readonly failure: LinuxFailure }
  /** The thread could not come home; it must not be used again. */
  | { readonly id: number; readonly outcome: 'Stranded'; readonly failure: LinuxFailure };

const { procRoot }: NamespaceWorkerData = workerData;
const visitor = new NamespaceVisitor(procRoot);

parentPort?.on('message', (request: NamespaceRequest) => parentPort?.postMessage(replyTo(request), []));
sayLoaded();

function replyTo({ id, netnsPath, operations }: NamespaceRequest): NamespaceReply {
  try {
    return { id, outcome: 'Done', results: visitor.visit(netnsPath, operations) };
  } catch (error) {
    const failure = failureOf(linuxErrorFrom(error, { syscall: 'setns', attempt: `visit ${netnsPath}` }));
    return { id, outcome: error instanceof StrandedError ? 'Stranded' : 'Refused', failure };
  }
}
