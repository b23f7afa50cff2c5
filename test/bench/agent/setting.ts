import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { makeSigner, sectionOf } from '../../agent/plans.ts';
import { splitCommand } from '../../cluster/lab/containerd.ts';
import { agentStart, ended, writeAgent } from './agent-program.ts';

/** The agent, and the container runtime played by NRI's own Go. */

const source = join(import.meta.dirname, '..', 'nri-latency');

const times = z.object({ p50Us: z.number(), p99Us: z.number(), maxUs: z.number() });
export type Times = z.output<typeof times>;

const loaded = z.object({ phase: z.literal('loaded'), adjusted: z.int(), times: z.record(z.string(), times) });

export interface Load {
  readonly pods: number;
  readonly perSecond: number;
  readonly seconds: number;
}

export class AgentSetting implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'agent-bench-'));
  /** Stands for every container's first process. */
  readonly #container = spawn('sleep', ['infinity'], { stdio: 'ignore' });
  readonly #signer = makeSigner();
  readonly #program = join(this.#folder, 'nri-latency');
  readonly #socket = join(this.#folder, 'nri.sock');
  readonly #rootfs = join(this.#folder, 'rootfs');
  readonly #namespaces = join(this.#folder, 'namespaces');

  async prepare(): Promise<void> {
    execFileSync('go', ['build', '-o', this.#program, '.'], { cwd: source });
    mkdirSync(join(this.#folder, 'keys'));
    writeFileSync(join(this.#folder, 'keys', 'key-1'), this.#signer.published);
    await writeAgent(this.#rootfs);
  }

  /** No API server: the agent goes on without. */
  startAgent(): ChildProcess {
    const flags = [
      '--node-name=bench',
      `--nri-socket=${this.#socket}`,
      `--keys-directory=${join(this.#folder, 'keys')}`,
      `--address-folder=${join(this.#folder, 'addresses')}`,
      '--runtime-names=nri-latency',
      '--port=0',
      '--log-level=error',
    ];
    const { command, env } = agentStart(this.#rootfs, flags);
    const { file, args } = splitCommand(command);
    const inCluster = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: '1' };
    return spawn(file, args, { stdio: 'ignore', env: { ...env, ...inCluster } });
  }

  startGoPlugin(): ChildProcess {
    return spawn(this.#program, ['-plugin', '-socket', this.#socket], { stdio: 'ignore' });
  }

  startRuntime({ pods, perSecond, seconds }: Load): Runtime {
    rmSync(this.#socket, { force: true });
    const flags = {
      socket: this.#socket,
      annotation: this.#signer.annotationOf(sectionOf()),
      namespaces: this.#namespaces,
      pid: this.#container.pid ?? 0,
      pods,
      'per-second': perSecond,
      seconds,
    };
    const args = Object.entries(flags).map(([flag, value]) => `-${flag}=${value}`);
    return new Runtime(this.#program, args, this.#namespaces);
  }

  [Symbol.dispose](): void {
    this.#container.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true });
  }
}

/** Says when each phase has ended, and waits to be told to go on: connected, filled, loaded. */
export class Runtime {
  readonly #process;
  readonly #lines;
  readonly #namespaces: string;

  /** `namespaces`: a folder that becomes a mount, so that one call takes away all that are pinned in it. */
  constructor(program: string, args: readonly string[], namespaces: string) {
    this.#namespaces = namespaces;
    mkdirSync(namespaces, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', namespaces]);
    this.#process = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  async next(): Promise<string> {
    const { value } = await this.#lines.next();
    if (typeof value !== 'string') throw new Error('the runtime ended: the plugin failed');
    return value;
  }

  goOn(): void {
    this.#process.stdin.write('\n');
  }

  async end(): Promise<void> {
    await ended(this.#process, 'SIGKILL');
    execFileSync('umount', ['--lazy', this.#namespaces]);
  }
}

/** One turn: the plugin meets the load, and `look` is called after each phase but the last. */
export async function measure(
  setting: AgentSetting,
  load: Load,
  {
    start,
    look,
  }: { readonly start: () => ChildProcess; readonly look?: (phase: string, pid: number) => Promise<void> },
): Promise<Readonly<Record<string, Times>>> {
  const runtime = setting.startRuntime(load);
  await pause(500);
  const plugin = start();
  try {
    for (const phase of ['connected', 'filled']) {
      await runtime.next();
      await look?.(phase, plugin.pid ?? 0);
      runtime.goOn();
    }
    const result = loaded.parse(JSON.parse(await runtime.next()));
    await look?.('loaded', plugin.pid ?? 0);
    if (result.adjusted !== load.perSecond * load.seconds) throw new Error(`only ${result.adjusted} were adjusted`);
    return result.times;
  } finally {
    await runtime.end();
    await ended(plugin, 'SIGKILL');
  }
}
