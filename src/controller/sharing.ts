/** Equal values become one object, for as long as anybody has it: the pods of a template differ in little. */
export const createSharing = <T extends object>(textOf: (value: T) => string): ((value: T) => T) => {
  const known = new Map<string, WeakRef<T>>();
  const gone = new FinalizationRegistry<string>((text) => {
    if (known.get(text)?.deref() === undefined) known.delete(text);
  });
  return (value) => {
    const text = textOf(value);
    const present = known.get(text)?.deref();
    if (present !== undefined) return present;
    known.set(text, new WeakRef(value));
    gone.register(value, text);
    return value;
  };
};
