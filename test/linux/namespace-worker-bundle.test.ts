import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { makeNetworkNamespace } from './network-namespace.ts';

const PROGRAM = `
  import { createNamespaceWorker } from './src/linux/namespace-worker.ts';
  const workerUrl = new URL('./namespace-worker-thread.js', import.meta.url);
  const worker = createNamespaceWorker({ workerUrl, signal: new AbortController().signal });
  const read = { operation: 'ReadSysctl', name: 'net.ipv4.ip_local_port_range' };
  console.log(JSON.stringify(await worker.run(process.argv[2], [read])));`;

const root = fileURLToPath(new URL('../..', import.meta.url));
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'connbudget-bundle-'));
  const common = { bundle: true, platform: 'node', format: 'esm', target: 'node24' } as const;
  await build({
    ...common,
    stdin: { contents: PROGRAM, resolveDir: root, loader: 'ts' },
    outfile: `${directory}/main.js`,
  });
  await build({
    ...common,
    entryPoints: [`${root}/src/linux/namespace-worker-thread.ts`],
    outfile: `${directory}/namespace-worker-thread.js`,
  });
  // The native module is not bundled: an image has it in node_modules beside the bundle.
  symlinkSync(`${root}/node_modules`, `${directory}/node_modules`);
});

afterAll(() => rmSync(directory, { recursive: true }));

test('a bundled program visits a namespace, and ends by itself', () => {
  using netns = makeNetworkNamespace();
  const output = execFileSync(process.execPath, [`${directory}/main.js`, netns.path], { timeout: 20_000 });
  expect(JSON.parse(output.toString())).toEqual([{ ok: true, value: '32768 60999' }]);
});
