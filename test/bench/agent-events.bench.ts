// CreateContainer through containerd's own side of NRI at 100 a second: the agent beside a plugin in Go that answers the
// same from memory. Run: node test/bench/agent-events.bench.ts (as root)
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { makeSigner, sectionOf } from '../agent/plans.ts';

interface Result {
  readonly adjusted: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

const seconds = 10;
const perSecond = 100;
const rounds = 3;

const source = new URL('nri-latency', import.meta.url).pathname;
const agentProgram = new URL('../../src/bin/agent.ts', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'nri-latency-'));
const program = join(folder, 'nri-latency');
const socket = join(folder, 'nri.sock');
const signer = makeSigner();
const annotation = signer.annotationOf(sectionOf());

function prepare(): void {
  execFileSync('go', ['build', '-o', program, '.'], { cwd: source });
  mkdirSync(join(folder, 'keys'));
  writeFileSync(join(folder, 'keys', 'key-1'), signer.published);
  // No API server: the agent goes on without.
  const nowhere = { clusters: [{ name: 'none', cluster: { server: 'https://127.0.0.1:1' } }] };
  const context = { contexts: [{ name: 'none', context: { cluster: 'none' } }], 'current-context': 'none' };
  writeFileSync(join(folder, 'kubeconfig'), JSON.stringify({ ...nowhere, ...context }));
}

function startAgent(): ChildProcess {
  const flags = [
    '--node-name=bench',
    `--nri-socket=${socket}`,
    `--keys-directory=${join(folder, 'keys')}`,
    `--kubeconfig=${join(folder, 'kubeconfig')}`,
    '--runtime-names=nri-latency',
    '--port=0',
    '--log-level=error',
  ];
  return spawn(process.execPath, [agentProgram, ...flags], { stdio: 'ignore' });
}

const startGo = (): ChildProcess => spawn(program, ['-plugin', '-socket', socket], { stdio: 'ignore' });

/** A runtime of its own for each turn; the plugin connects once it listens. */
async function measure(startPlugin: () => ChildProcess): Promise<Result> {
  rmSync(socket, { force: true });
  const flags = ['-socket', socket, '-annotation', annotation, '-per-second', `${perSecond}`, '-seconds', `${seconds}`];
  const runtime = spawn(program, flags, { stdio: ['ignore', 'pipe', 'ignore'] });
  const output: Buffer[] = [];
  runtime.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  const measured = once(runtime, 'exit');
  await new Promise((resolve) => setTimeout(resolve, 500));
  const plugin = startPlugin();
  await measured;
  const ended = once(plugin, 'exit');
  plugin.kill('SIGKILL');
  await ended;
  const result = JSON.parse(Buffer.concat(output).toString()) as Result;
  if (result.adjusted !== perSecond * seconds) throw new Error(`only ${result.adjusted} containers were adjusted`);
  return result;
}

const line = (what: string, { p50Us, p99Us }: Result): string =>
  `${what.padEnd(8)}${p50Us.toFixed(0).padStart(8)} µs p50 ${p99Us.toFixed(0).padStart(8)} µs p99\n`;

try {
  prepare();
  for (let round = 0; round < rounds; round += 1) {
    const agent = await measure(startAgent);
    const go = await measure(startGo);
    process.stdout.write(line('agent', agent) + line('go', go));
    const ratios = [agent.p50Us / go.p50Us, agent.p99Us / go.p99Us].map((ratio) => ratio.toFixed(2));
    process.stdout.write(`ratio   ${ratios[0]} p50, ${ratios[1]} p99\n`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
