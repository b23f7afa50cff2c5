/** What was asked for is right, but this machine cannot: exit status 4. */
export class CannotHereError extends Error {
  readonly kind = 'CannotHere';
}
