import { ADDRESS_WORDS, TUPLE_KEY_WORDS as KEY_WORDS } from './inet-diag-message.ts';

const PORT_WORD = KEY_WORDS - 1;
const FIRST_CAPACITY = 1024;

/** What a connection does with its local port. Outside: the port is not of the ephemeral range. */
type TupleCount = 'established' | 'timeWait' | 'other' | 'outside';

const COUNT_INDEX: Readonly<Record<TupleCount, number>> = { established: 0, timeWait: 1, other: 2, outside: 3 };
const COUNTS = 4;

/**
 * Connections counted by (local address, remote address, remote port), each a space of local ports of its own. A million
 * different ones take 70 MB and no object; open addressing over dense rows, half full at most.
 */
export class TcpTuples {
  /** Local address, remote address, remote port of the next `count`: filled in by the caller. */
  readonly key = new Uint32Array(KEY_WORDS);
  #keys = new Uint32Array(FIRST_CAPACITY * KEY_WORDS);
  #counts = new Uint32Array(FIRST_CAPACITY * COUNTS);
  #rowOfSlot = new Int32Array(FIRST_CAPACITY * 2).fill(-1);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  count(what: TupleCount): void {
    const at = this.#rowOf() * COUNTS + COUNT_INDEX[what];
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }

  countOf(row: number, what: TupleCount): number {
    return this.#counts[row * COUNTS + COUNT_INDEX[what]] ?? 0;
  }

  localAddressOf(row: number): Uint32Array {
    return this.#keys.subarray(row * KEY_WORDS, row * KEY_WORDS + ADDRESS_WORDS);
  }

  remoteAddressOf(row: number): Uint32Array {
    const start = row * KEY_WORDS + ADDRESS_WORDS;
    return this.#keys.subarray(start, start + ADDRESS_WORDS);
  }

  remotePortOf(row: number): number {
    return this.#keys[row * KEY_WORDS + PORT_WORD] ?? 0;
  }

  #rowOf(): number {
    const mask = this.#rowOfSlot.length - 1;
    let slot = hashOf(this.key, 0) & mask;
    for (;;) {
      const row = this.#rowOfSlot[slot] ?? -1;
      if (row < 0) return this.#add(slot);
      if (this.#isKeyOf(row)) return row;
      slot = (slot + 1) & mask;
    }
  }

  #isKeyOf(row: number): boolean {
    const start = row * KEY_WORDS;
    for (let word = 0; word < KEY_WORDS; word += 1) if (this.#keys[start + word] !== this.key[word]) return false;
    return true;
  }

  #add(slot: number): number {
    const row = this.#size;
    this.#size += 1;
    this.#keys.set(this.key, row * KEY_WORDS);
    this.#rowOfSlot[slot] = row;
    if (this.#size * 2 >= this.#rowOfSlot.length) this.#grow();
    return row;
  }

  #grow(): void {
    const capacity = this.#rowOfSlot.length;
    this.#keys = enlarged(this.#keys, capacity * KEY_WORDS);
    this.#counts = enlarged(this.#counts, capacity * COUNTS);
    this.#rowOfSlot = new Int32Array(capacity * 2).fill(-1);
    const mask = this.#rowOfSlot.length - 1;
    for (let row = 0; row < this.#size; row += 1) {
      let slot = hashOf(this.#keys, row * KEY_WORDS) & mask;
      while ((this.#rowOfSlot[slot] ?? -1) >= 0) slot = (slot + 1) & mask;
      this.#rowOfSlot[slot] = row;
    }
  }
}

// FNV-1a's multiplier by words; the last step brings the high bits down to those that the mask keeps.
function hashOf(words: Uint32Array, start: number): number {
  let hash = 0x811c_9dc5;
  for (let word = start; word < start + KEY_WORDS; word += 1) {
    hash = Math.imul(hash ^ (words[word] ?? 0), 0x0100_0193);
    hash ^= hash >>> 15;
  }
  return hash >>> 0;
}

function enlarged(words: Uint32Array, length: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(length);
  larger.set(words);
  return larger;
}
