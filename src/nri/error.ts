/**
 * RuntimeUnreachable, RegistrationFailed, ConnectionLost: why the plugin is not registered.
 * HandlerFailed, HandlerTimedOut, IncompleteEvent: why an event was answered as if nobody had asked for it.
 */
export type NriErrorKind =
  | 'RuntimeUnreachable'
  | 'RegistrationFailed'
  | 'ConnectionLost'
  | 'HandlerFailed'
  | 'HandlerTimedOut'
  | 'IncompleteEvent';

export class NriError extends Error {
  override readonly name = 'NriError';
  readonly kind: NriErrorKind;

  constructor(kind: NriErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** Thrown by the handler of runPodSandbox or createContainer to fail the creation, with this message to the user. */
export class RefuseCreation extends Error {
  override readonly name = 'RefuseCreation';
}
