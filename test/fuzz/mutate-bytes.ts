import type { Random } from './random.ts';

/** Whatever goes wrong on the way of bytes: flipped, lost, doubled, moved, cut, with lengths that lie. */

type Mutation = (input: Buffer, random: Random, words: readonly Buffer[]) => Buffer;

/** No input grows beyond it, so that a slow execution is the decoder's fault. */
const longestInput = 64 * 1024;

const numbers = [
  0, 1, 0x7f, 0x80, 0xff, 0xfff, 0x1000, 0x7fff, 0xffff, 0x400000, 0x7fff_ffff, 0xffff_fffe, 0xffff_ffff,
];

interface Cut {
  readonly at: number;
  readonly removed?: number;
  readonly inserted?: Uint8Array;
}

const nothing = Buffer.alloc(0);

const splice = (input: Buffer, { at, removed = 0, inserted = nothing }: Cut): Buffer =>
  Buffer.concat([input.subarray(0, at), inserted, input.subarray(at + removed)]);

const place = (input: Buffer, random: Random): number => random.nat(input.length + 1);
const shortLength = (random: Random): number => 1 + random.nat(random.pick([2, 8, 64]));

const slice = (input: Buffer, random: Random): Buffer => {
  const from = place(input, random);
  return input.subarray(from, from + shortLength(random));
};

const overwritten = (input: Buffer, at: number, bytes: Uint8Array): Buffer =>
  splice(input, { at, removed: bytes.length, inserted: bytes });

const numberBytes = (random: Random): Buffer => {
  const bytes = Buffer.alloc(random.pick([2, 4]));
  const value = random.pick(numbers) & (bytes.length === 2 ? 0xffff : -1);
  if (bytes.length === 2) bytes.writeUInt16LE(value);
  else bytes.writeUInt32LE(value >>> 0);
  return random.chance(50) ? bytes : Buffer.from(bytes.toReversed());
};

const mutations: readonly Mutation[] = [
  (input, random) => overwritten(input, place(input, random), Buffer.from([random.nat(256)])),
  (input, random) => {
    const at = place(input, random);
    return overwritten(input, at, Buffer.from([(input[at] ?? 0) ^ (1 << random.nat(8))]));
  },
  (input, random) => splice(input, { at: place(input, random), removed: shortLength(random) }),
  (input, random) => splice(input, { at: place(input, random), inserted: slice(input, random) }),
  (input, random) => overwritten(input, place(input, random), slice(input, random)),
  (input, random) =>
    splice(input, { at: place(input, random), inserted: Buffer.alloc(shortLength(random), random.nat(256)) }),
  (input, random) => input.subarray(0, place(input, random)),
  (input, random) => overwritten(input, place(input, random), numberBytes(random)),
  (input, random, words) =>
    splice(input, { at: place(input, random), removed: random.nat(4), inserted: random.pick(words) }),
  (input, random, words) => overwritten(input, place(input, random), random.pick(words)),
];

export const mutateBytes: Mutation = (input, random, words) => {
  let mutated = input;
  for (let left = 1 + random.nat(4); left > 0; left -= 1) mutated = random.pick(mutations)(mutated, random, words);
  return mutated.subarray(0, longestInput);
};
