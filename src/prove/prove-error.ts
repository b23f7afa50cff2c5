/**
 * - CannotHere: this machine cannot (not Linux, a right, a tool or memory is missing).
 * - Failed: a process of the proof ended or did not do its part.
 * - Aborted: by the signal.
 */
export type ProveErrorKind = 'CannotHere' | 'Failed' | 'Aborted';

export class ProveError extends Error {
  readonly kind: ProveErrorKind;

  constructor(kind: ProveErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ProveError';
    this.kind = kind;
  }
}
