import { KubeError } from './kube-error.ts';
import { utf8TextOf } from './utf8.ts';

const newline = 0x0a;

export interface LineDecoder {
  /** The lines that end in this chunk, without their newline; throws KubeError Malformed above the limit, or for what is not UTF-8. */
  readonly push: (chunk: Buffer) => Generator<string, void>;
  /** Bytes of a line that has not ended. */
  readonly pendingBytes: () => number;
}

/**
 * Bytes to lines. Splitting happens before decoding, so a character that is cut between two chunks stays whole; the
 * limit is held before a line is put together. `textOf` may leave out of a line what nobody reads.
 */
export function createLineDecoder(maximumBytes: number, textOf = utf8TextOf): LineDecoder {
  let parts: Buffer[] = [];
  let pending = 0;
  const keep = (part: Buffer): void => {
    pending += part.length;
    if (pending > maximumBytes) {
      throw new KubeError(`a line of the stream is longer than ${maximumBytes} bytes`, { kind: 'Malformed' });
    }
    if (part.length > 0) parts.push(part);
  };
  const take = (): string => {
    const [first, ...rest] = parts;
    const line = first !== undefined && rest.length === 0 ? first : Buffer.concat(parts);
    parts = [];
    pending = 0;
    return textOf(line);
  };
  return {
    pendingBytes: () => pending,
    push: function* push(chunk) {
      let start = 0;
      for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
        keep(chunk.subarray(start, end));
        yield take();
        start = end + 1;
      }
      keep(chunk.subarray(start));
    },
  };
}
