/** Equal values become one object: the pods of a template differ in little, and come one after the other. */
export type Share<T> = (value: T) => T;

/** Entries of half of what is remembered; the other half are those that were asked for before. */
const generationSize = 16_384;

/**
 * Remembers the values that were seen last, at most two generations of them: where every pod is of its own kind, it costs
 * no more than that. A value that is forgotten is only not shared any more.
 */
export const createSharing = <T>(textOf: (value: T) => string): Share<T> => {
  let young = new Map<string, T>();
  let old = new Map<string, T>();
  return (value) => {
    const text = textOf(value);
    const lately = young.get(text);
    if (lately !== undefined) return lately;
    const shared = old.get(text) ?? value;
    if (young.size >= generationSize) [young, old] = [new Map(), young];
    young.set(text, shared);
    return shared;
  };
};
