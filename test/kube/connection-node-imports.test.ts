import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { expect, test } from 'vitest';

/** The npm packages that a module loads when it is imported; what it loads later, by import(), is not followed. */
async function packagesOf(module: string): Promise<readonly string[]> {
  const { metafile } = await build({
    entryPoints: [fileURLToPath(new URL(`../../src/kube/${module}`, import.meta.url))],
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  });
  const imports = Object.values(metafile.inputs).flatMap((input) => input.imports);
  const packages = imports.filter(
    ({ external, kind, path }) => external && kind === 'import-statement' && !path.startsWith('node:'),
  );
  return [...new Set(packages.map(({ path }) => path))].toSorted();
}

test("the agent's writer loads no package at all", async () => {
  expect(await packagesOf('connection-node.ts')).toEqual([]);
});

test('the check sees the packages of the whole client', async () => {
  expect(await packagesOf('client.ts')).toEqual(['undici']);
  expect(await packagesOf('kube-config.ts')).toEqual(['@kubernetes/client-node']);
});
