import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { LabError } from './lab-error.ts';

export type CommandOptions = {
  readonly signal: AbortSignal;
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly input?: string;
};

const largestOutputBytes = 64 * 1024 * 1024;
const lastErrorCharacters = 2000;

/** Runs a program to its end and returns its standard output. Throws LabError CommandFailed with the end of stderr. */
export function run(file: string, args: readonly string[], options: CommandOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      args,
      {
        signal: options.signal,
        maxBuffer: largestOutputBytes,
        env: { ...process.env, ...options.environment },
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      },
      (cause, stdout, stderr) => {
        if (cause === null) resolve(stdout);
        else reject(new LabError('CommandFailed', failureText(file, args, stderr), { cause }));
      },
    );
    // A program may end before it has read its input; its exit status says what is wrong, not the pipe's EPIPE.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
}

/** Like run, for what may already be done: a failure of the program is false, an abort still throws. */
export async function succeeds(file: string, args: readonly string[], options: CommandOptions): Promise<boolean> {
  try {
    await run(file, args, options);
    return true;
  } catch {
    options.signal.throwIfAborted();
    return false;
  }
}

export async function isOnPath(program: string): Promise<boolean> {
  const directories = (process.env['PATH'] ?? '').split(delimiter);
  const found = await Promise.all(directories.map((directory) => isExecutable(join(directory, program))));
  return found.includes(true);
}

export async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function failureText(file: string, args: readonly string[], stderr: string): string {
  return `${file} ${args.join(' ').slice(0, 300)} failed: ${stderr.trim().slice(-lastErrorCharacters)}`;
}
