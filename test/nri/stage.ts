import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NriError } from '../../src/nri/error.ts';
import type { PluginHandlers } from '../../src/nri/handlers.ts';
import { runPlugin, type PluginState } from '../../src/nri/plugin.ts';
import { buildRuntime, Runtime } from './runtime.ts';

const leastHandlers: PluginHandlers = { synchronize: () => undefined, createContainer: () => undefined };

/** One plugin, the runtimes of its test, and the socket between them; all gone when it is disposed of. */
export class Stage implements AsyncDisposable {
  readonly states: PluginState[] = [];
  readonly errors: NriError[] = [];
  readonly #program: string;
  readonly #folder: string;
  readonly #runtimes = new AsyncDisposableStack();
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  private constructor(program: string, folder: string) {
    this.#program = program;
    this.#folder = folder;
  }

  static async set(): Promise<Stage> {
    return new Stage(await buildRuntime(), await mkdtemp(join(tmpdir(), 'nri-')));
  }

  /** The same, with a plugin that is registered and synchronized with a runtime. */
  static async play(
    handlers: Partial<PluginHandlers>,
    flags?: readonly string[],
  ): Promise<Stage & { readonly runtime: Runtime }> {
    const stage = await Stage.set();
    const runtime = await stage.startRuntime(flags);
    stage.startPlugin(handlers);
    await runtime.reached('synchronized');
    return Object.assign(stage, { runtime });
  }

  async startRuntime(flags?: readonly string[]): Promise<Runtime> {
    const runtime = this.#runtimes.use(new Runtime(this.#program, this.#socketPath, flags));
    await runtime.reached('listening');
    return runtime;
  }

  startPlugin(handlers: Partial<PluginHandlers>, name = 'connection-budget'): void {
    const options = {
      socketPath: this.#socketPath,
      name,
      index: '50',
      handlers: { ...leastHandlers, ...handlers },
      onState: (state: PluginState) => this.states.push(state),
      onError: (error: NriError) => this.errors.push(error),
    };
    this.#running = runPlugin(options, this.#stop.signal);
  }

  /** Resolves when the plugin has ended. */
  stopPlugin(): Promise<void> {
    this.#stop.abort();
    return this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopPlugin();
    await this.#runtimes.disposeAsync();
    await rm(this.#folder, { recursive: true });
  }

  get #socketPath(): string {
    return join(this.#folder, 'nri.sock');
  }
}
