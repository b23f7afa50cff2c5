import { closeSync, constants, openSync } from 'node:fs';

import { enterNetworkNamespace, loadLibc } from './libc.ts';
import { failureOf, LinuxError, linuxErrorFrom } from './linux-error.ts';
import { type NamespaceOperation, type OperationResult, performOperation } from './namespace-operations.ts';

/** The thread could not come home: nothing else must run in it. */
export class StrandedError extends LinuxError {
  override readonly name = 'StrandedError';
}

/**
 * Takes the thread that made it into other network namespaces and back. Between entering one and coming home nothing is
 * awaited and every call is synchronous, so no other code runs inside, and no thread of libuv's pool is made there (it
 * would stay for ever).
 */
export class NamespaceVisitor implements Disposable {
  /** Of this thread: /proc/self is the process's first, which may be elsewhere by now. */
  readonly #home = openSync('/proc/thread-self/ns/net', constants.O_RDONLY);
  readonly #procRoot: string;

  constructor(procRoot: string) {
    this.#procRoot = procRoot;
    loadLibc();
  }

  /** What fails inside is a result of its own. Throws LinuxError: Gone, NotPermitted, InvalidInput; StrandedError. */
  visit(netnsPath: string, operations: readonly NamespaceOperation[]): readonly OperationResult<unknown>[] {
    enter(netnsPath);
    try {
      return operations.map((operation) => performOperation(operation, this.#procRoot));
    } finally {
      this.#comeHomeFrom(netnsPath);
    }
  }

  #comeHomeFrom(netnsPath: string): void {
    const call = { syscall: 'setns', attempt: `come back from ${netnsPath}` };
    try {
      enterNetworkNamespace(this.#home, call);
    } catch (cause) {
      throw new StrandedError(failureOf(linuxErrorFrom(cause, call)), { cause });
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#home);
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
