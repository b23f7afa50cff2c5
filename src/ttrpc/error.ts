/**
 * What can go wrong with a connection or a call.
 * FrameTooLarge, MessageTooLarge, MalformedMessage: somebody broke the protocol; from the peer they end the connection.
 * ConnectionClosed: one side left, or the socket failed. DeadlineExceeded, Aborted: this call only.
 */
export type TtrpcErrorKind =
  'FrameTooLarge' | 'MessageTooLarge' | 'MalformedMessage' | 'ConnectionClosed' | 'DeadlineExceeded' | 'Aborted';

export class TtrpcError extends Error {
  override readonly name = 'TtrpcError';
  readonly kind: TtrpcErrorKind;

  constructor(kind: TtrpcErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** The codes of google.rpc.Code that are used here. */
export const statusCodes = {
  invalidArgument: 3,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
} as const;

/** An answer other than OK: thrown by a handler to give it, and by a call that got it. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly kind = 'StatusReturned';
  readonly code: number;

  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
