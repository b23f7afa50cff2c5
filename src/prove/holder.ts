import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import type { Accept, Counted, Ended, Open, Prepare, Prepared, Reply } from './holder-protocol.ts';
import type { ProcessRecord } from './leftovers.ts';
import { ProveError } from './prove-error.ts';

/** A process that opens, accepts and holds connections in one namespace; one command at a time. */
export interface Holder extends AsyncDisposable {
  readonly pid: number;
  readonly prepare: (command: Omit<Prepare, 'command'>) => Promise<Prepared>;
  readonly open: (command: Omit<Open, 'command'>) => Promise<Ended>;
  readonly accept: (command: Omit<Accept, 'command'>) => Promise<Ended>;
  readonly count: () => Promise<Counted>;
  readonly close: () => Promise<Counted>;
  /** Ends the command that runs; its answer says how far it came. */
  readonly stop: () => void;
}

export interface HolderOptions {
  /** The file of counters that all holders of a proof share. */
  readonly counterFd: number;
  readonly record: ProcessRecord;
  readonly signal: AbortSignal;
  /** Where the holder's program is when this file is part of a bundle. */
  readonly programUrl?: URL | undefined;
}

// A small young generation: a holder has nothing to remember.
const nodeOptions = ['--no-warnings', '--max-semi-space-size=1'];

const endOf = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
};

const failure = (child: ChildProcess): ProveError => {
  const how = child.signalCode ?? `status ${child.exitCode}`;
  return new ProveError('Failed', `a process of the proof (pid ${child.pid}) ended: ${how}`);
};

const asker = (child: ChildProcess) => {
  let waiting: PromiseWithResolvers<Reply> | undefined;
  child.on('message', (reply: Reply) => {
    const asked = waiting;
    waiting = undefined;
    asked?.resolve(reply);
  });
  const fail = (): void => waiting?.reject(failure(child));
  child.once('exit', fail);
  child.once('error', fail);
  return async <R extends Reply['reply']>(
    command: object,
    expected: R,
  ): Promise<Extract<Reply, { readonly reply: R }>> => {
    if (child.exitCode !== null || child.signalCode !== null) throw failure(child);
    waiting = Promise.withResolvers<Reply>();
    child.send(command);
    const reply = await waiting.promise;
    if (reply.reply === expected) return reply as Extract<Reply, { readonly reply: R }>;
    throw new ProveError('Failed', reply.reply === 'Failed' ? reply.message : `unexpected answer ${reply.reply}`);
  };
};

export const startHolder = async ({ counterFd, record, signal, programUrl }: HolderOptions): Promise<Holder> => {
  signal.throwIfAborted();
  const program = fileURLToPath(programUrl ?? new URL('./holder-process.ts', import.meta.url));
  const child = spawn(process.execPath, [...nodeOptions, program], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc', counterFd],
  });
  await once(child, 'spawn');
  const pid = child.pid ?? 0;
  record.add(pid);
  const ask = asker(child);
  const abort = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', abort, { once: true });
  return {
    pid,
    prepare: async (command) => ask({ command: 'Prepare', ...command }, 'Prepared'),
    open: async (command) => ask({ command: 'Open', ...command }, 'Ended'),
    accept: async (command) => ask({ command: 'Accept', ...command }, 'Ended'),
    count: async () => ask({ command: 'Count' }, 'Counted'),
    close: async () => ask({ command: 'Close' }, 'Counted'),
    stop: () => void (child.connected && child.send({ command: 'Stop' })),
    [Symbol.asyncDispose]: async () => {
      signal.removeEventListener('abort', abort);
      await endOf(child);
    },
  };
};
