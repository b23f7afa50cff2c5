import { expect, it } from 'vitest';
import { quantityPattern } from '../../src/api/fields.ts';
import { parseBytes } from '../../src/api/quantity.ts';

it.each([
  ['0', 0],
  ['0e999', 0],
  [0, 0],
  [1500, 1500],
  ['16Ki', 16_384],
  ['1.5Ki', 1536],
  ['1k', 1000],
  ['1e3', 1000],
  ['1E', 1e18 > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : 1e18],
  ['100m', 1], // a tenth of a byte, rounded up
  ['+2Mi', 2_097_152],
  ['.5Gi', 536_870_912],
] as const)('%s is %d bytes', (quantity, expected) => {
  expect(parseBytes(quantity)).toBe(expected);
});

it.each(['', '-1', 'Ki', '1 Ki', '1KiB', '0x10', '1..5', 'NaN', '1e'])('"%s" is no quantity', (text) => {
  expect(quantityPattern.test(text)).toBe(false);
});
