import { readFile } from 'node:fs/promises';
import { run } from '../../cluster/lab/command.ts';

/** Load from a process that is no Node, and what it costs the process that answers. */

const { signal } = new AbortController();

export interface Load {
  readonly url: string;
  /** File. */
  readonly body: string;
  /** In every answer. */
  readonly contains: string;
  readonly connections: number;
  readonly seconds: number;
  /** Default: as fast as it answers. */
  readonly perSecond?: number;
  /** PEM files of the client. */
  readonly client?: { readonly certificate: string; readonly key: string };
}

export interface Answers {
  readonly answers: number;
  readonly failed: number;
  readonly firstFailure: string;
  readonly p50Us: number;
  readonly p99Us: number;
}

export const load = async (program: string, options: Load): Promise<Answers> => {
  const { url, body, contains, connections, seconds, perSecond = 0, client } = options;
  const identity = client === undefined ? {} : { certificate: client.certificate, key: client.key };
  const flags = { url, body, contains, connections, seconds, 'per-second': perSecond, ...identity };
  const args = Object.entries(flags).map(([flag, value]) => `-${flag}=${value}`);
  return JSON.parse(await run(program, args, { signal })) as Answers;
};

/** Throws where anything failed: a server that refuses is fast. */
export const loadWithoutFailure = async (program: string, options: Load): Promise<Answers> => {
  const answers = await load(program, options);
  if (answers.failed > 0) throw new Error(`${answers.failed} calls of ${options.url} failed: ${answers.firstFailure}`);
  return answers;
};

/** USER_HZ: 100 on every Linux that Node is built for (time(7)). */
const ticksPerSecond = 100;

/** Of all threads, user and system: fields 14 and 15 of /proc/PID/stat (proc_pid_stat(5)). */
export const cpuSecondsOf = async (pid: number): Promise<number> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
};

export const residentMiBOf = async (pid: number): Promise<number> => {
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) / 1024;
};

export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
