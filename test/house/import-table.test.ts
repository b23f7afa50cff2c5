import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { forbiddenImports, straySources } from './import-table.ts';

const src = new URL('../../src', import.meta.url).pathname;
const planted: string[] = [];

const tree = (files: Readonly<Record<string, string>>): string => {
  const root = mkdtempSync(join(tmpdir(), 'house-'));
  planted.push(root);
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(join(root, file, '..'), { recursive: true });
    writeFileSync(join(root, file), content);
  }
  return root;
};

afterEach(() => {
  for (const root of planted.splice(0)) rmSync(root, { recursive: true });
});

describe('the house', () => {
  it('imports only what its table allows', () => {
    expect(forbiddenImports(src)).toEqual([]);
  });

  it('reads the environment in src/bin alone and client-node in src/kube alone', () => {
    expect(straySources(src)).toEqual([]);
  });

  it('a planted import of the API by the planner is caught', () => {
    const root = tree({
      'planner/plan.ts': "import { group } from '../api/names.ts';\n",
      'api/names.ts': 'export const group = 1;\n',
    });
    expect(forbiddenImports(root)).toEqual(['planner/plan.ts imports api/names.ts']);
  });

  it('a planted dynamic import of another file of kube by the agent is caught', () => {
    const root = tree({
      'agent/run.ts': "await import('../kube/client.ts'); await import('../kube/connection-node.ts');\n",
    });
    expect(forbiddenImports(root)).toEqual(['agent/run.ts imports kube/client.ts']);
  });

  it('a planted look at the environment is caught', () => {
    const root = tree({
      'cli/a.ts': 'export const home = process.env.HOME;\n',
      'bin/b.ts': 'export const args = process.argv;\n',
    });
    expect(straySources(root)).toEqual(['cli/a.ts']);
  });
});
