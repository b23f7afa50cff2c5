import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLineDecoder } from '../../src/kube/line-decoder.ts';

function decode(chunks: readonly Buffer[], maximumBytes = 1024): readonly string[] {
  const decoder = createLineDecoder(maximumBytes);
  return chunks.flatMap((chunk) => [...decoder.push(chunk)]);
}

test('lines survive any chunking, also one that cuts characters in two', () => {
  const line = fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => text.replaceAll('\n', ' '));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), fc.array(fc.nat(200), { maxLength: 50 }), (lines, cuts) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
      const ends = [...new Set([0, ...cuts.filter((cut) => cut < bytes.length), bytes.length])].toSorted(
        (a, b) => a - b,
      );
      const chunks = ends.slice(1).map((end, index) => bytes.subarray(ends[index], end));
      expect(decode(chunks, 10_000)).toEqual(lines);
    }),
  );
});

test('what has not ended is kept and counted', () => {
  const decoder = createLineDecoder(100);
  expect([...decoder.push(Buffer.from('one\ntw'))]).toEqual(['one']);
  expect(decoder.pendingBytes()).toBe(2);
});

test('a line above the limit is refused before it has ended', () => {
  expect(decode([Buffer.from(`${'x'.repeat(8)}\n`)], 8)).toEqual(['xxxxxxxx']);
  expect(() => decode([Buffer.from('xxxx'), Buffer.from('xxxxx')], 8)).toThrow(
    expect.objectContaining({ kind: 'Malformed' }),
  );
});
