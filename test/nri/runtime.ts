import { execFile, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { access, mkdir, readdir, readFile, rename } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const source = fileURLToPath(new URL('adaptation', import.meta.url));

/**
 * Builds the Go program in ./adaptation, which plays the container runtime with containerd's own code, once per version
 * of its source. Kept outside of the checkout, in the user's cache.
 */
export async function buildRuntime(): Promise<string> {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const folder = join(cache, 'connection-budget', 'nri-adaptation', await hashOf(source));
  const program = join(folder, 'adaptation');
  if (await exists(program)) return program;
  await mkdir(folder, { recursive: true });
  const unfinished = `${program}.${randomUUID()}`;
  await promisify(execFile)('go', ['build', '-o', unfinished, '.'], { cwd: source });
  await rename(unfinished, program);
  return program;
}

async function hashOf(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await readdir(folder)).toSorted()) hash.update(name).update(await readFile(join(folder, name)));
  return hash.digest('hex').slice(0, 16);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

export interface Result {
  readonly error?: string;
  readonly code?: number;
  /** A ContainerAdjustment in protobuf's JSON. */
  readonly adjust?: unknown;
}

interface Line extends Result {
  readonly id?: number;
  readonly state?: string;
}

export interface Arguments {
  readonly pod?: object;
  readonly container?: object;
  readonly event?: number;
}

/** The Go program, running. */
export class Runtime implements AsyncDisposable {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #results = new Map<number, (result: Result) => void>();
  readonly #states: string[] = [];
  #stateSeen = Promise.withResolvers<void>();
  #lastId = 0;

  constructor(program: string, socketPath: string, flags: readonly string[] = []) {
    this.#process = spawn(program, ['-socket', socketPath, ...flags]);
    this.#process.stderr.resume();
    this.#process.stdin.on('error', () => undefined);
    createInterface(this.#process.stdout).on('line', (text) => this.#read(JSON.parse(text) as Line));
  }

  /** Waits until the program has said so: listening, synchronized. */
  async reached(state: string): Promise<void> {
    while (!this.#states.includes(state)) await this.#stateSeen.promise;
  }

  /** What the plugin makes of a call of the runtime. */
  call(method: string, parameters: Arguments = {}): Promise<Result> {
    const id = ++this.#lastId;
    const { promise, resolve } = Promise.withResolvers<Result>();
    this.#results.set(id, resolve);
    this.#process.stdin.write(`${JSON.stringify({ id, method, ...parameters })}\n`);
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }

  #read({ id, state, ...result }: Line): void {
    if (id !== undefined) this.#results.get(id)?.(result);
    if (state === undefined) return;
    this.#states.push(state);
    this.#stateSeen.resolve();
    this.#stateSeen = Promise.withResolvers<void>();
  }
}
