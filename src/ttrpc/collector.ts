/** Puts a known number of bytes together from pieces of any size: a view where one piece has them all, else one copy. */
export class Collector {
  readonly #size: number;
  #filled = 0;
  #copy: Uint8Array | undefined;

  constructor(size: number) {
    this.#size = size;
  }

  get missing(): number {
    return this.#size - this.#filled;
  }

  /** Takes a piece of at most `missing` bytes; gives all of them once the last has come. */
  take(piece: Uint8Array): Uint8Array | undefined {
    if (piece.length === this.#size) return piece;
    this.#copy ??= new Uint8Array(this.#size);
    this.#copy.set(piece, this.#filled);
    this.#filled += piece.length;
    return this.missing === 0 ? this.#copy : undefined;
  }
}
