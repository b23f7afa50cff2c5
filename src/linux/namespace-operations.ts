import { addHostRoutes, removeHostRoutes } from './host-routes.ts';
import { addAddresses, type InterfaceAddress, listAddresses, removeAddresses } from './interfaces.ts';
import { failureOf, type LinuxFailure, linuxErrorFrom } from './linux-error.ts';
import { readNetnsCookie } from './libc.ts';
import { askNeighbours, type Neighbour, takeNeighbours } from './neighbours.ts';
import { readTcpSockets } from './sock-diag.ts';
import { openSockDiag } from './sock-diag-socket.ts';
import { readSocketFiles, type SocketTotals, socketTotalsFor } from './sockets.ts';
import { libbpf } from './bpf/libbpf.ts';
import { type EnsuredSysctl, ensureSysctl, readSysctl, writeSysctl } from './sysctls.ts';
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

/** Writes the value where what is there does not do for it. */
export interface EnsureSysctl {
  readonly operation: 'EnsureSysctl';
  readonly name: string;
  readonly value: string;
}

export interface ReadSocketTotals {
  readonly operation: 'ReadSocketTotals';
  /** Default true: also what was lost or skipped (netstat). */
  readonly lost?: boolean;
}

/** The number by which eBPF programs know the namespace. */
export interface ReadNetnsCookie {
  readonly operation: 'ReadNetnsCookie';
}

export interface ListAddresses {
  readonly operation: 'ListAddresses';
}

/** Of interfaces.ts and neighbours.ts. */
export interface OnInterface {
  readonly operation: 'AddAddresses' | 'RemoveAddresses' | 'AskNeighbours';
  readonly interfaceName: string;
  readonly ips: readonly string[];
}

export interface TakeNeighbours {
  readonly operation: 'TakeNeighbours';
  readonly interfaceName: string;
  readonly ips: readonly string[];
}

/** Of host-routes.ts. */
export interface OnHostRoutes {
  readonly operation: 'AddHostRoutes' | 'RemoveHostRoutes';
  readonly besideIp: string;
  readonly ips: readonly string[];
}

export interface ReadTcpSockets {
  readonly operation: 'ReadTcpSockets';
  /** How many destinations to name, those that use most ports first. */
  readonly mostDestinations: number;
}

/**
 * A descriptor that stays with the namespace, and that any thread of this process may read: a walk over a million sockets
 * must not keep the worker. Whoever asks for it closes it.
 */
export type OpenSockets =
  | { readonly operation: 'OpenSockDiag' }
  /** `link`: of an eBPF iterator. */
  | { readonly operation: 'OpenIterator'; readonly link: number };

export type NamespaceOperation =
  | ReadSysctl
  | WriteSysctl
  | EnsureSysctl
  | ReadSocketTotals
  | ReadTcpSockets
  | OpenSockets
  | ReadNetnsCookie
  | ListAddresses
  | OnInterface
  | TakeNeighbours
  | OnHostRoutes;

export type OperationResult<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: LinuxFailure };

/** The value of a sysctl is what is read, after a write too; blanks are normalised. */
interface ValueOf {
  readonly ReadSysctl: string;
  readonly WriteSysctl: string;
  readonly EnsureSysctl: EnsuredSysctl;
  readonly ReadSocketTotals: SocketTotals;
  readonly ReadTcpSockets: TcpSockets;
  readonly OpenSockDiag: number;
  readonly OpenIterator: number;
  readonly ReadNetnsCookie: bigint;
  readonly ListAddresses: readonly InterfaceAddress[];
  readonly AddAddresses: readonly string[];
  readonly RemoveAddresses: readonly string[];
  readonly AskNeighbours: readonly string[];
  readonly TakeNeighbours: readonly Neighbour[];
  readonly AddHostRoutes: readonly string[];
  readonly RemoveHostRoutes: readonly string[];
}

export type ResultOf<T extends NamespaceOperation> = OperationResult<ValueOf[T['operation']]>;

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

function valueFor(operation: NamespaceOperation, procRoot: string): ValueOf[keyof ValueOf] {
  switch (operation.operation) {
    case 'ReadSocketTotals':
      return socketTotalsFor(readSocketFiles(procRoot, operation));
    case 'ReadTcpSockets':
      return readTcpSockets(operation.mostDestinations, procRoot);
    case 'OpenSockDiag':
      return openSockDiag();
    case 'OpenIterator':
      return libbpf().openIterator(operation.link);
    case 'WriteSysctl':
      writeSysctl(operation.name, operation.value, procRoot);
      return readSysctl(operation.name, procRoot);
    case 'EnsureSysctl':
      return ensureSysctl(operation.name, operation.value, procRoot);
    case 'ReadSysctl':
      return readSysctl(operation.name, procRoot);
    case 'ReadNetnsCookie':
      return readNetnsCookie();
    case 'ListAddresses':
      return listAddresses();
    case 'TakeNeighbours':
      return takeNeighbours(operation.interfaceName, operation.ips);
    case 'AddHostRoutes':
      return addHostRoutes(operation.besideIp, operation.ips);
    case 'RemoveHostRoutes':
      removeHostRoutes(operation.besideIp, operation.ips);
      return [];
    default:
      return onInterface(operation);
  }
}

function onInterface({ operation, interfaceName, ips }: OnInterface): readonly string[] {
  if (operation === 'AddAddresses') return addAddresses(interfaceName, ips);
  if (operation === 'RemoveAddresses') return removeAddresses(interfaceName, ips);
  askNeighbours(interfaceName, ips);
  return [];
}
