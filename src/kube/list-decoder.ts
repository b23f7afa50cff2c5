import { KubeError } from './kube-error.ts';
import { utf8TextOf } from './utf8.ts';

export interface ListDecoder {
  /** The texts of the objects that end in this chunk; throws KubeError Malformed where one is above the limit. */
  readonly push: (chunk: Buffer) => Generator<string, void>;
  /** The text of the list with {} in the place of each object, when all chunks were pushed: JSON, if the whole was. */
  readonly rest: () => string;
}

const code = (character: string): number => character.charCodeAt(0);
const quote = code('"');
const backslash = code('\\');
/** Whatever else stood beside an object is no JSON beside this either: -{} is none, -0 would be. */
const placeholder = Buffer.from('{}');
const [openObject, closeObject, openArray, closeArray] = [code('{'), code('}'), code('['), code(']')];

/**
 * Bytes of `{"metadata": {…}, "items": [{…}, {…}]}` to its objects, so that no page is ever parsed at once. All that is
 * looked at is where strings, objects and arrays begin and end, in ASCII, which no byte of another UTF-8 character is.
 *
 * `textOf` may leave out of an object what nobody reads.
 *
 *     depth      0 { 1 "items": [ 2 { 3 … } 2 , { 3 … } 2 ] 1 } 0
 */
export function createListDecoder(maximumBytes: number, textOf = utf8TextOf): ListDecoder {
  return new Decoder(maximumBytes, textOf);
}

class Decoder implements ListDecoder {
  readonly #maximumBytes: number;
  readonly #textOf: (object: Buffer) => string;
  /** Bytes as characters: a chunk may end inside a UTF-8 character. */
  #around = '';
  #object: Buffer[] = [];
  #objectBytes = 0;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  #isInItems = false;
  /** Where in the chunk begins what was neither kept nor dropped yet. */
  #start = 0;

  constructor(maximumBytes: number, textOf: (object: Buffer) => string) {
    this.#maximumBytes = maximumBytes;
    this.#textOf = textOf;
  }

  *push(chunk: Buffer): Generator<string, void> {
    this.#start = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0;
      if (this.#isInString) this.#goOnInString(byte);
      else if (byte === quote) this.#isInString = true;
      else if (byte === openObject || byte === openArray) this.#open(chunk, at);
      else if (byte === closeObject || byte === closeArray) {
        this.#depth -= 1;
        if (this.#isInItems && this.#depth === 2) yield this.#takeObject(chunk, at + 1);
        else if (this.#depth === 1) this.#isInItems = false;
      }
    }
    const part = chunk.subarray(this.#start);
    if (!this.#isInItems) this.#keepAround(part);
    else if (this.#depth > 2) this.#keepObject(part);
    else this.#keepAround(part);
  }

  rest(): string {
    return utf8TextOf(Buffer.from(this.#around, 'latin1'));
  }

  #goOnInString(byte: number): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (byte === backslash) this.#isEscaped = true;
    else if (byte === quote) this.#isInString = false;
  }

  #open(chunk: Buffer, at: number): void {
    this.#depth += 1;
    if (this.#depth === 3 && this.#isInItems) this.#beginObject(chunk, at);
    if (this.#depth !== 2 || this.#isInItems) return;
    this.#keepAround(chunk.subarray(this.#start, at + 1));
    this.#start = at + 1;
    // A backslash before it would make its first quote part of another name.
    this.#isInItems = /(?<!\\)"items"\s*:\s*\[$/u.test(this.#around);
  }

  #beginObject(chunk: Buffer, at: number): void {
    this.#keepAround(chunk.subarray(this.#start, at));
    this.#keepAround(placeholder);
    this.#start = at;
  }

  #takeObject(chunk: Buffer, end: number): string {
    this.#keepObject(chunk.subarray(this.#start, end));
    this.#start = end;
    const [first, ...others] = this.#object;
    const bytes = first !== undefined && others.length === 0 ? first : Buffer.concat(this.#object);
    this.#object = [];
    this.#objectBytes = 0;
    return this.#textOf(bytes);
  }

  #keepObject(part: Buffer): void {
    this.#objectBytes += part.length;
    if (this.#objectBytes > this.#maximumBytes) throw this.#tooLong();
    this.#object.push(part);
  }

  #keepAround(part: Buffer): void {
    this.#around += part.toString('latin1');
    if (this.#around.length > this.#maximumBytes) throw this.#tooLong();
  }

  #tooLong(): KubeError {
    return new KubeError(`a part of the list is longer than ${this.#maximumBytes} bytes`, { kind: 'Malformed' });
  }
}
