import { getSystemErrorName } from 'node:util';

/**
 * - Gone: the process or the namespace has ended since it was named.
 * - NotFound: this kernel, or this namespace, has no such file.
 * - NotPermitted: a capability is missing, a security module refused, or the file is read-only.
 * - AboveNrOpen: more descriptors than fs.nr_open were asked for; no capability helps.
 * - InvalidInput: refused before the kernel was asked, or by the kernel with EINVAL or ERANGE.
 * - TimedOut, Aborted, WorkerFailed: of the namespace worker.
 * - SystemCall: any other errno.
 */
export type LinuxErrorKind =
  | 'Gone'
  | 'NotFound'
  | 'NotPermitted'
  | 'AboveNrOpen'
  | 'InvalidInput'
  | 'TimedOut'
  | 'Aborted'
  | 'WorkerFailed'
  | 'SystemCall';

/** What a LinuxError says, as plain data that crosses threads. `errno` is positive, absent where no call failed. */
export interface LinuxFailure {
  readonly kind: LinuxErrorKind;
  readonly message: string;
  readonly syscall: string;
  readonly errno?: number;
}

export class LinuxError extends Error {
  readonly kind: LinuxErrorKind;
  readonly syscall: string;
  readonly errno: number | undefined;

  constructor(failure: LinuxFailure, options?: ErrorOptions) {
    super(failure.message, options);
    this.name = 'LinuxError';
    this.kind = failure.kind;
    this.syscall = failure.syscall;
    this.errno = failure.errno;
  }
}

const KIND_BY_ERRNO: Readonly<Record<string, LinuxErrorKind>> = {
  ENOENT: 'NotFound',
  ESRCH: 'Gone',
  EPERM: 'NotPermitted',
  EACCES: 'NotPermitted',
  EROFS: 'NotPermitted',
  EINVAL: 'InvalidInput',
  ERANGE: 'InvalidInput',
};

export interface FailedCall {
  readonly syscall: string;
  /** What was tried on what, for the message: "write net.core.somaxconn". */
  readonly attempt: string;
  /** The kinds that this call gives another meaning: a PID directory that is not found is a process that is gone. */
  readonly kinds?: Readonly<Record<string, LinuxErrorKind>>;
}

export function linuxErrorForErrno(errno: number, call: FailedCall, cause?: unknown): LinuxError {
  const name = getSystemErrorName(-errno);
  const kind = call.kinds?.[name] ?? KIND_BY_ERRNO[name] ?? 'SystemCall';
  const message = `cannot ${call.attempt}: ${name}`;
  return new LinuxError({ kind, errno, syscall: call.syscall, message }, { cause });
}

/** From what node:fs or this folder threw; what carries no errno becomes SystemCall with its own message. */
export function linuxErrorFrom(thrown: unknown, call: FailedCall): LinuxError {
  if (thrown instanceof LinuxError) return thrown;
  if (hasErrno(thrown)) return linuxErrorForErrno(Math.abs(thrown.errno), call, thrown);
  const message = `cannot ${call.attempt}: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  return new LinuxError({ kind: 'SystemCall', syscall: call.syscall, message }, { cause: thrown });
}

export function failureOf(error: LinuxError): LinuxFailure {
  const { kind, message, syscall, errno } = error;
  return errno === undefined ? { kind, message, syscall } : { kind, message, syscall, errno };
}

function hasErrno(thrown: unknown): thrown is Error & { readonly errno: number } {
  return thrown instanceof Error && 'errno' in thrown && typeof thrown.errno === 'number';
}
