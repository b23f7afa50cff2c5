import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensureComponents } from './cluster/lab/build.ts';
import { ensureRequirements, nodeRequirements, bpfRequirements } from './cluster/lab/debian.ts';
import { type ComponentName, components } from './cluster/lab/components.ts';
import { cacheDirectory } from './cluster/lab/environment.ts';
import { ensureBpfObjects } from './cluster/lab/bpf-object.ts';

/**
 * `npm test [-- vitest's arguments]`: installs and builds what the tests run against, once, then runs them all. The report stays in the
 * cache for whoever counts.
 */
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());

const progress = { signal: stop.signal, onProgress: (line: string): void => console.error(line) };
await ensureRequirements([...nodeRequirements, ...bpfRequirements], progress);
await ensureComponents(Object.keys(components) as readonly ComponentName[], progress);
await ensureBpfObjects(progress);

const report = join(cacheDirectory(), 'test-report.json');
const runner = spawn(
  process.execPath,
  [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ],
  { stdio: 'inherit' },
);
stop.signal.addEventListener('abort', () => runner.kill('SIGINT'));
runner.once('exit', (code) => {
  process.exitCode = code ?? 1;
});
