/**
 * The parse edge of this folder: the API server is trusted to send the type it documents for a path, all of whose
 * fields it may leave out. What decides over more than a display is checked where it is used.
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller names the documented type
export function fromServer<T>(value: unknown): T {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the only one
  return value as T;
}
