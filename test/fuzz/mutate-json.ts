import { jsonOf } from './decoder.ts';
import type { Random } from './random.ts';

/** JSON that is well formed and not what was expected: other types, names, numbers, depths. */

const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '', 'a/b~c', 'x\u001b[2Jy', '\u202egnp', '0'];
const deep = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));

const odd: readonly ((random: Random) => unknown)[] = [
  () => null,
  () => true,
  (random) => random.pick([0, -1, 1.5, 2 ** 31, 2 ** 53, -(2 ** 63), 1e308, -0]),
  (random) => random.pick(['', '0', '-1', '1e999', 'NaN', '10.0.0.0/', '::/0', '1.2.3.4', '9007199254740993']),
  (random) => random.pick(['\ud800', '\u0000', '\u001b]0;x\u0007', '\u202etxt', '\u009b2J', '\u{1f511}', ' \n']),
  (random) => random.pick(['x', '🔑', ',']).repeat(random.pick([64, 300, 5000])),
  () => [],
  () => ({}),
  (random) => deep(random.pick([3, 40, 2000])),
  (random) => ({ [random.pick(names)]: random.pick(names) }),
  () => ({ toString: 1, valueOf: 1 }),
];

const oddValue = (random: Random): unknown => random.pick(odd)(random);

type Entry = readonly [string, unknown];

const entryChanges: readonly ((entry: Entry, random: Random) => readonly Entry[])[] = [
  () => [],
  ([, value], random) => [[random.pick(names), value]],
  (entry, random) => [entry, [random.pick(names), oddValue(random)]],
];

const itemChanges: readonly ((item: unknown, random: Random) => readonly unknown[])[] = [
  () => [],
  (item) => [item, item],
  (item, random) => Array.from({ length: random.pick([17, 70]) }, () => item),
  (item, random) => [oddValue(random), item],
];

const changedEntries = (entries: readonly Entry[], random: Random): readonly Entry[] => {
  const at = random.nat(entries.length);
  const [name, value] = entries[at] ?? ['', null];
  const replaced: readonly Entry[] = random.chance(60)
    ? [[name, mutateValue(value, random)]]
    : random.pick(entryChanges)([name, value], random);
  return entries.toSpliced(at, 1, ...replaced);
};

const changedItems = (items: readonly unknown[], random: Random): readonly unknown[] => {
  const at = random.nat(items.length);
  const item = items[at];
  const replaced = random.chance(50) ? [mutateValue(item, random)] : random.pick(itemChanges)(item, random);
  return items.toSpliced(at, 1, ...replaced);
};

const mutateValue = (value: unknown, random: Random): unknown => {
  if (random.chance(15)) return oddValue(random);
  if (Array.isArray(value)) return changedItems(value, random);
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(changedEntries(Object.entries(value), random));
  return oddValue(random);
};

/** No input grows beyond it, as those of mutate-bytes.ts. */
const longestInput = 64 * 1024;

/** undefined for what is no JSON, or becomes too long. */
export const mutateJson = (input: Buffer, random: Random): Buffer | undefined => {
  const json = jsonOf(input.toString('utf8'));
  if (typeof json !== 'object' || json === null) return undefined;
  let mutated: unknown = json;
  for (let left = 1 + random.nat(3); left > 0; left -= 1) mutated = mutateValue(mutated, random);
  const text = JSON.stringify(mutated) ?? 'null';
  return text.length > longestInput ? undefined : Buffer.from(text);
};
