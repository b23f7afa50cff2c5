import { execFile } from 'node:child_process';

export interface ProgramOptions {
  /** All of it: nothing of this process' environment is passed on. */
  readonly environment: Readonly<Record<string, string>>;
  readonly input: string;
  /** Kills the program. */
  readonly signal: AbortSignal;
}

export interface EndedProgram {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const largestOutputBytes = 64 * 1024;

/**
 * Runs a program to its end, also where it is killed: nothing of it goes on when this settles. Rejects where it cannot be
 * started, was killed, or says too much.
 */
export async function runProgram(file: string, options: ProgramOptions): Promise<EndedProgram> {
  const { environment, input, signal } = options;
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const limits = { maxBuffer: largestOutputBytes, killSignal: 'SIGKILL' } as const;
    const child = execFile(file, { env: { ...environment }, ...limits }, (error, stdout, stderr) => {
      signal.removeEventListener('abort', kill);
      if (error === null) resolve({ status: 0, stdout, stderr });
      else if (typeof error.code === 'number') resolve({ status: error.code, stdout, stderr });
      else reject(error);
    });
    const kill = (): void => void child.kill('SIGKILL');
    signal.addEventListener('abort', kill, { once: true });
    // A program may end before it has read its input; its status says what is wrong, not the pipe's EPIPE.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}
