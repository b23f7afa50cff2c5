import { closeSync, constants, openSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

import { enterNetworkNamespace, loadLibc } from './libc.ts';
import { failureOf, type LinuxFailure, linuxErrorFrom } from './linux-error.ts';
import { type NamespaceOperation, type OperationResult, performOperation } from './namespace-operations.ts';

/**
 * The body of the namespace worker: this thread alone visits other network namespaces. Between entering one and coming
 * home nothing is awaited and every call is synchronous, so no other code runs inside, and no thread of libuv's pool is
 * made there (it would stay for ever).
 */
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
const home = openSync('/proc/self/ns/net', constants.O_RDONLY);
loadLibc();

let isHome = true;

parentPort?.on('message', (request: NamespaceRequest) => parentPort?.postMessage(replyTo(request), []));

function replyTo({ id, netnsPath, operations }: NamespaceRequest): NamespaceReply {
  try {
    return { id, outcome: 'Done', results: visit(netnsPath, operations) };
  } catch (error) {
    const failure = failureOf(linuxErrorFrom(error, { syscall: 'setns', attempt: `visit ${netnsPath}` }));
    return { id, outcome: isHome ? 'Refused' : 'Stranded', failure };
  }
}

function visit(netnsPath: string, operations: readonly NamespaceOperation[]): readonly OperationResult<unknown>[] {
  enter(netnsPath);
  isHome = false;
  try {
    return operations.map((operation) => performOperation(operation, procRoot));
  } finally {
    enterNetworkNamespace(home, { syscall: 'setns', attempt: `come back from ${netnsPath}` });
    isHome = true;
  }
}

/** Where it is refused, the thread is still at home. */
function enter(netnsPath: string): void {
  const target = openNamespace(netnsPath);
  try {
    enterNetworkNamespace(target, { syscall: 'setns', attempt: `enter ${netnsPath}` });
  } finally {
    closeSync(target);
  }
}

function openNamespace(path: string): number {
  try {
    // O_NONBLOCK: a FIFO at that path would hold the thread for ever.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw linuxErrorFrom(error, { syscall: 'open', attempt: `open ${path}`, kinds: { ENOENT: 'Gone' } });
  }
}
