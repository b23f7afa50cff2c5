import { readNetnsCookie } from './libc.ts';
import { failureOf, type LinuxFailure, linuxErrorFrom } from './linux-error.ts';
import { readSocketFiles, type SocketTotals, socketTotalsFor } from './sockets.ts';
import { readSysctl, writeSysctl } from './sysctls.ts';

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

/** The number by which eBPF programs know the namespace. */
export interface ReadNetnsCookie {
  readonly operation: 'ReadNetnsCookie';
}

export type NamespaceOperation = ReadSysctl | WriteSysctl | ReadSocketTotals | ReadNetnsCookie;

export type OperationResult<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: LinuxFailure };

/** The value of a sysctl is what is read, after a write too; blanks are normalised. */
export type ResultOf<T extends NamespaceOperation> = OperationResult<
  T extends ReadSocketTotals ? SocketTotals : T extends ReadNetnsCookie ? bigint : string
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

function valueFor(operation: NamespaceOperation, procRoot: string): string | bigint | SocketTotals {
  if (operation.operation === 'ReadSocketTotals') return socketTotalsFor(readSocketFiles(procRoot));
  if (operation.operation === 'ReadNetnsCookie') return readNetnsCookie();
  if (operation.operation === 'WriteSysctl') writeSysctl(operation.name, operation.value, procRoot);
  return readSysctl(operation.name, procRoot);
}
