import { appendFile, cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chartReadme } from '../../deploy/chart-readme.ts';
import { generatedPaths, staleFiles } from '../../deploy/generated.ts';
import { checkout, quiet, setUpTimeoutMs } from './chart-setting.ts';

let copy: string;

beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), 'committed-'));
  await Promise.all(generatedPaths.map((path) => cp(join(checkout, path), join(copy, path), { recursive: true })));
}, setUpTimeoutMs);

afterAll(() => rm(copy, { recursive: true }));

test('what is committed is what the sources give', async () => {
  expect(await staleFiles(checkout, quiet)).toEqual([]);
}, 60_000);

test('a file changed, one removed and one too many are named', async () => {
  await appendFile(join(copy, 'crds/connectionbudgets.yaml'), '# by hand\n');
  await rm(join(copy, 'deploy/install.yaml'));
  await writeFile(join(copy, 'src/nri/gen/old_pb.ts'), '');
  expect(await staleFiles(copy, quiet)).toEqual([
    'crds/connectionbudgets.yaml',
    'deploy/install.yaml',
    'src/nri/gen/old_pb.ts',
  ]);
}, 60_000);

test('a value without a comment is refused', () => {
  expect(() => chartReadme('a:\n  # What b is.\n  b: 1\n  c: 2\n')).toThrow('the value a.c has no comment');
});

test('a value has one row, with its default as it would be written', () => {
  const rows = chartReadme('a:\n  # What b\n  # is.\n  b: {c: [1, x]}\n').split('\n');
  expect(rows).toContain('| `a.b` | `{c: [1, x]}` | What b is. |');
});
