import fc from 'fast-check';
import { expect, test } from 'vitest';
import { printable, printableLines } from '../../src/api/printable.ts';

test.each([
  ['größer, 名前, \u{1f511}', 'größer, 名前, \u{1f511}'],
  ['a\u001b[2Jb', 'a\\u{1b}[2Jb'],
  ['a\u009b2J', 'a\\u{9b}2J'],
  ['txt.\u202egnp', 'txt.\\u{202e}gnp'],
  ['a\r\n\0', 'a\\u{d}\\u{a}\\u{0}'],
  ['\ud800', '\ufffd'],
])('%j is shown as %j', (text, shown) => {
  expect(printable(text)).toBe(shown);
});

test('what is shown commands no terminal, and lines stay lines', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(printableLines(text)).toMatch(/^[^\p{Cc}\p{Bidi_Control}]*(\n[^\p{Cc}\p{Bidi_Control}]*)*$/u);
      expect(printableLines(text).split('\n')).toHaveLength(text.split('\n').length);
    }),
  );
});
