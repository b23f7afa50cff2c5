import { type ChildProcess, execFileSync, spawn, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';

export interface ChildProgram extends AsyncDisposable {
  readonly pid: number;
  /** Everything that the program wrote to standard output by now. */
  readonly output: () => string;
  /** Resolves when the program has ended by itself. */
  readonly ended: Promise<unknown>;
}

/** A program in a process group of its own, which is killed whole at the end of the block that is `using` it. */
export async function startProgram(command: readonly string[], options: SpawnOptions = {}): Promise<ChildProgram> {
  const [file = '', ...args] = command;
  const child = spawn(file, args, { detached: true, stdio: ['ignore', 'pipe', 'inherit'], ...options });
  const ended = once(child, 'exit');
  await once(child, 'spawn');
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const pid = child.pid ?? 0;
  return {
    pid,
    ended,
    output: () => text,
    [Symbol.asyncDispose]: () => killGroup(child, pid, ended),
  };
}

/** A shell that prints "ready" once `setUp` has run, then waits for its children for ever. */
export async function startShell(setUp: string, options: SpawnOptions = {}): Promise<ChildProgram> {
  const program = await startProgram(['sh', '-c', `${setUp}\necho ready; sleep 600 & wait`], options);
  await until(() => program.output().includes('ready'));
  return program;
}

/** Runs a module of this folder in a Node of its own and returns the JSON that it prints; `wrapper` goes before. */
export function runModule(name: string, args: readonly string[], wrapper: readonly string[] = []): unknown {
  const path = new URL(name, import.meta.url).pathname;
  const [file = '', ...rest] = [...wrapper, process.execPath, path, ...args];
  return JSON.parse(execFileSync(file, rest, { encoding: 'utf8' }));
}

export async function until(isTrue: () => boolean): Promise<void> {
  const deadline = AbortSignal.timeout(10_000);
  while (!isTrue()) {
    deadline.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function killGroup(child: ChildProcess, pid: number, ended: Promise<unknown>): Promise<void> {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group has ended by itself.
  }
  if (child.exitCode === null && child.signalCode === null) await ended;
}
