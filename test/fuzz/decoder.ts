import { Random } from './random.ts';

/** Something that reads what others wrote, and what it promises of any input. */
export interface Decoder {
  readonly name: string;
  /** Inputs as they come in earnest. */
  readonly seeds: readonly (string | Uint8Array)[];
  /** Pieces that mean something to it. */
  readonly words?: readonly string[];
  /** Throws, or rejects, where the promise is broken: another error than its own, an answer that is wrong. */
  readonly check: (input: Buffer) => void | Promise<void>;
  /** Takes away what it needed. */
  readonly end?: () => void;
}

/** What `read` gives; undefined where it refuses by an error of its own. */
export const unlessRefused = <T>(isOwn: (error: unknown) => boolean, read: () => T): T | undefined => {
  try {
    return read();
  } catch (error) {
    if (isOwn(error)) return undefined;
    throw error;
  }
};

export const requireTrue = (holds: boolean, promise: string): void => {
  if (!holds) throw new Error(`broken promise: ${promise}`);
};

/** Undefined for what is none. */
export const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};

/** An input cut anywhere, always the same. */
export const chunksOf = (input: Buffer): readonly Buffer[] => {
  const random = new Random(input.length);
  const chunks: Buffer[] = [];
  for (let at = 0; at < input.length;) {
    const length = 1 + random.nat(random.pick([1, 9, 400]));
    chunks.push(input.subarray(at, at + length));
    at += length;
  }
  return chunks;
};
