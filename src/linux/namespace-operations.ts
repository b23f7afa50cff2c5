import { failureOf, type LinuxFailure, linuxErrorFrom } from './linux-error.ts';
import { readTcpSockets } from './sock-diag.ts';
import { readSocketFiles, type SocketTotals, socketTotalsFor } from './sockets.ts';
import { readSysctl, writeSysctl } from './sysctls.ts';
import type { TcpSockets } from './tcp-sockets.ts';

export interface ReadSysctl {
  readonly operation: 'ReadSysctl';
  readonly name: string;
}

export interface WriteSysctl {
  readonly operation: 'WriteSysctl';
  readonly name: string;
  readonly value: string;
}

export interface ReadSocketTotals {
  readonly operation: 'ReadSocketTotals';
}

export interface ReadTcpSockets {
  readonly operation: 'ReadTcpSockets';
  /** How many destinations to name, those that use most ports first. */
  readonly mostDestinations: number;
}

export type NamespaceOperation = ReadSysctl | WriteSysctl | ReadSocketTotals | ReadTcpSockets;

export type OperationResult<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: LinuxFailure };

/** The value of a sysctl is what is read, after a write too; blanks are normalised. */
export type ResultOf<T extends NamespaceOperation> = OperationResult<
  T extends ReadTcpSockets ? TcpSockets : T extends ReadSocketTotals ? SocketTotals : string
>;

export type ResultsOf<T extends readonly NamespaceOperation[]> = { readonly [K in keyof T]: ResultOf<T[K]> };

/** Synchronous, in the calling thread's network namespace; a failure is a result, so the rest of a batch goes on. */
export function performOperation(operation: NamespaceOperation, procRoot: string): ResultOf<NamespaceOperation> {
  try {
    return { ok: true, value: valueFor(operation, procRoot) };
  } catch (error) {
    const call = { syscall: operation.operation, attempt: 'act in a network namespace' };
    return { ok: false, failure: failureOf(linuxErrorFrom(error, call)) };
  }
}

/** For a program's own namespace, which takes no right and no thread: performs the operations in order. */
export function performOperations<const T extends readonly NamespaceOperation[]>(
  operations: T,
  procRoot: string,
): ResultsOf<T> {
  return operations.map((operation) => performOperation(operation, procRoot)) as ResultsOf<T>;
}

function valueFor(operation: NamespaceOperation, procRoot: string): string | SocketTotals | TcpSockets {
  if (operation.operation === 'ReadTcpSockets') return readTcpSockets(operation.mostDestinations, procRoot);
  if (operation.operation === 'ReadSocketTotals') return socketTotalsFor(readSocketFiles(procRoot));
  if (operation.operation === 'WriteSysctl') writeSysctl(operation.name, operation.value, procRoot);
  return readSysctl(operation.name, procRoot);
}
