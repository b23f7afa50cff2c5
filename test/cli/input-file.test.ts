import { expect, test } from 'vitest';
import { contentOf } from '../../src/cli/input-file.ts';
import { parseBudgets } from '../../src/cli/read-budgets.ts';

const budget = `apiVersion: connectionbudget.io/v1alpha1
kind: ConnectionBudget
metadata: {name: small}
spec:
  selector: {matchLabels: {app: x}}
  inbound: [{name: in, port: 80, connections: 1000}]
`;
const isInputError = (message: string) => expect.objectContaining({ kind: 'Input', message });

test.each([
  ['a name', budget.replace('small', '"\\e[2J\\u202Ex"'), /^-: default\/\\u\{1b\}\[2J\\u\{202e\}x: metadata\.name: /],
  ['a field', budget.replace('spec:', 'spec:\n  "\\x9B1m": 1'), /: spec\.\\u\{9b\}1m: 1: unknown field$/],
])('%s with a command for terminals is shown, not obeyed', (_, content, shown) => {
  expect(() => parseBudgets('-', content)).toThrow(shown);
  expect(() => parseBudgets('-', content)).toThrow(/^[^\p{Cc}\p{Bidi_Control}]*$/u);
});

const bomb = `a: &a [${'x,'.repeat(9)}]\nb: &b [${'*a,'.repeat(9)}]\nc: &c [${'*b,'.repeat(9)}]\nd: [${'*c,'.repeat(9)}]\n`;

test.each([
  ['nested 20,000 deep', '['.repeat(20_000), 'Maximum call stack size exceeded'],
  ['that is a bomb of aliases', bomb, 'Excessive alias count indicates a resource exhaustion attack'],
  ['with a key twice', 'a: 1\nb: {c: 1, c: 2}\n', 'Map keys must be unique at line 2, column 11'],
])('a file %s is refused', (_, content, why) => {
  expect(() => parseBudgets('-', content)).toThrow(expect.objectContaining({ kind: 'Input' }));
  expect(() => parseBudgets('-', content)).toThrow(`-: is not YAML: ${why}`);
});

test('a file without an end is refused', async () => {
  const tooLarge = isInputError('/dev/zero: cannot be read: must be at most 8 MiB');
  await expect(contentOf('/dev/zero')).rejects.toThrow(tooLarge);
});

test('20,000 keys of somebody else are passed over, each looked up once', () => {
  const data = Array.from({ length: 20_000 }, (_, index) => `  key${index}: !odd 1`).join('\n');
  const warnings: unknown[] = [];
  const warned = (warning: unknown): unknown => warnings.push(warning);
  process.on('warning', warned);
  const { budgets } = parseBudgets('-', `kind: ConfigMap\ndata:\n${data}\n---\n${budget}`);
  process.off('warning', warned);
  expect({ names: budgets.map(({ name }) => name), warnings }).toEqual({ names: ['small'], warnings: [] });
}, 8000);
