import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createListDecoder } from '../../src/kube/list-decoder.ts';

/** What is decoded of a text that comes in chunks of the given lengths. */
function decoded(text: string, lengths: readonly number[] = []) {
  const bytes = Buffer.from(text);
  const decoder = createListDecoder(1024 * 1024);
  const objects: unknown[] = [];
  let start = 0;
  for (const length of [...lengths, bytes.length]) {
    for (const object of decoder.push(bytes.subarray(start, start + length))) objects.push(JSON.parse(object));
    start += length;
  }
  return { objects, rest: JSON.parse(decoder.rest()) as unknown };
}

const objects = fc.array(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue()), { maxLength: 5 });
const metadata = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue());
const lengths = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 40 });
const space = fc.constantFrom(0, 1, '\t');

test('the objects and the rest of a list are the same however it is cut into chunks', () => {
  fc.assert(
    fc.property(fc.record({ objects, metadata, lengths, space }), (list) => {
      const text = JSON.stringify({ metadata: list.metadata, items: list.objects, kind: 'PodList' }, null, list.space);
      expect(decoded(text, list.lengths)).toEqual({
        objects: JSON.parse(JSON.stringify(list.objects)),
        rest: {
          metadata: JSON.parse(JSON.stringify(list.metadata)),
          items: list.objects.map(() => ({})),
          kind: 'PodList',
        },
      });
    }),
  );
});

test.each([
  { what: 'no items', text: '{"metadata":{},"items":null}', objects: [] },
  { what: 'an array of another name', text: '{"others":[{"a":1}],"items":[{"b":2}]}', objects: [{ b: 2 }] },
  {
    what: 'items inside an object',
    text: '{"metadata":{"items":[{"a":1}]},"items":[{"items":[{}]}]}',
    objects: [{ items: [{}] }],
  },
  {
    what: 'brackets and quotes in strings',
    text: '{"items":[{"a":"]}\\"{["},{"\\\\":"{"}]}',
    objects: [{ a: ']}"{[' }, { '\\': '{' }],
  },
])('$what', ({ text, objects: expected }) => {
  const everyByte = Array.from({ length: text.length }, () => 1);
  for (const cut of [[], everyByte]) expect(decoded(text, cut).objects).toEqual(expected);
});

test.each(['-{}', '1{}', '{}2', '"a"{}', '{}{}', 'null{}'])('%s in the place of an object leaves no JSON', (text) => {
  expect(() => decoded(`{"items":[${text},{"a":1}]}`)).toThrow(SyntaxError);
});

test('an object above the limit is Malformed before it is put together', () => {
  const decoder = createListDecoder(100);
  const push = (text: string) => [...decoder.push(Buffer.from(text))];
  push('{"items":[{"a":"');
  expect(() => push('x'.repeat(100))).toThrow(expect.objectContaining({ kind: 'Malformed' }));
});

test('a name that ends like that of the items is not theirs', () => {
  const text = '{"x\\"items":[{"a":1}],"items":[{"b":2}]}';
  expect(decoded(text)).toEqual({ objects: [{ b: 2 }], rest: { 'x"items': [{ a: 1 }], items: [{}] } });
});

test.each(['{"items":[{"a":1}-{"b":2}]}', '{"items":[{"a":1}{"b":2}]}', '{"items":[{"a":1},]}', '{"items":[{"a":1}}]'])(
  'a list that is no JSON has a rest that is none: %s',
  (text) => {
    const decoder = createListDecoder(1024);
    for (const object of decoder.push(Buffer.from(text))) JSON.parse(object);
    expect(() => JSON.parse(decoder.rest())).toThrow(SyntaxError);
  },
);
