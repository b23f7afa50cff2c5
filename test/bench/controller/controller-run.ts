import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { bundles } from '../../../deploy/image-contents.ts';
import { readerCore } from '../list-watch/crowd.ts';
import type { Line } from './controller-process.ts';

/** The controller, bundled and started as the image has it, on the core of those who read. */
export interface Running {
  readonly child: ChildProcess;
  /** The next line of this kind. */
  readonly next: (state: Line['state']) => Promise<Line>;
}

export interface Bundle {
  readonly file: string;
  readonly remove: () => Promise<void>;
}

export async function bundleController(): Promise<Bundle> {
  const dir = await mkdtemp(join(tmpdir(), 'controller-bundle-'));
  const files = await bundles([{ name: 'controller-process', source: 'test/bench/controller/controller-process.ts' }]);
  for (const { path, content } of files) {
    if (content.kind === 'Bytes') await writeFile(join(dir, path.replaceAll('/', '-')), content.bytes);
  }
  await writeFile(join(dir, 'package.json'), '{"type":"module"}\n');
  return {
    file: join(dir, 'app-controller-process.js'),
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

/** As deploy/chart/templates/controller/deployment.yaml gives them. */
const nodeArguments = ['--max-semi-space-size=4'];

export function startController({ file }: Bundle, kubeconfig: string, budgetCount: number): Running {
  const command = [process.execPath, ...nodeArguments, file, kubeconfig, String(budgetCount)];
  const child = spawn('taskset', ['--cpu-list', readerCore, ...command], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next: Running['next'] = async (state) => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done === true) throw new Error('the controller ended');
      const line = JSON.parse(value) as Line;
      if (line.state === state) return line;
    }
  };
  return { child, next };
}

export async function ended({ child }: Running, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  child.kill(signal);
  await once(child, 'exit');
}
