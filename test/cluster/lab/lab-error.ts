export type LabErrorKind =
  'MissingProgram' | 'CommandFailed' | 'BuildFailed' | 'DaemonExited' | 'NotReady' | 'NoFreeSlot' | 'NotRoot';

/** Something that the test cluster needs did not work. The message ends with what the program itself said. */
export class LabError extends Error {
  readonly kind: LabErrorKind;

  constructor(kind: LabErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LabError';
    this.kind = kind;
  }
}

/** True for an error of the operating system with this code, such as 'ENOENT'. */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
