import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { hasCode, LabError } from './lab-error.ts';

/**
 * A process is known by its number, its start (proc_pid_stat(5), field 22, clock ticks after boot) and the boot: a number
 * alone may belong to somebody else by the time it is used.
 */
const recordSchema = z.object({ pid: z.int().positive(), startTicks: z.string(), bootId: z.string() });
export type ProcessRecord = Readonly<z.infer<typeof recordSchema>>;

const specSchema = z.object({
  name: z.string(),
  file: z.string(),
  args: z.array(z.string()).readonly(),
  /** Parent: the kernel kills it with the thread that started it (prctl(2), PR_SET_PDEATHSIG). */
  lifetime: z.enum(['Parent', 'Detached']),
  /** Added to our own environment. */
  environment: z.record(z.string(), z.string()).default({}),
});
export type DaemonSpec = Readonly<z.input<typeof specSchema>>;

type DaemonDirectories = { readonly run: string; readonly logs: string };

function daemonDirectories(dir: string): DaemonDirectories {
  return { run: join(dir, 'run'), logs: join(dir, 'logs') };
}

/** Starts the daemon in its own session and records it on disk; one that runs already is left as it is. */
export async function startDaemon(dir: string, spec: DaemonSpec): Promise<ProcessRecord> {
  const running = findDaemon(dir, spec.name);
  if (running !== undefined) return running;
  const { run, logs } = daemonDirectories(dir);
  mkdirSync(run, { recursive: true });
  mkdirSync(logs, { recursive: true });
  const pid = await spawnDaemon(spec, join(logs, `${spec.name}.log`));
  const startTicks = readStartTicks(pid);
  if (startTicks === undefined) throw exited(dir, spec.name);
  const record = { pid, startTicks, bootId: readBootId() };
  writeJson(join(run, `${spec.name}.spec`), spec);
  writeJson(join(run, `${spec.name}.json`), record);
  return record;
}

/** The recorded daemon if it still runs; a stale record is not a daemon. */
export function findDaemon(dir: string, name: string): ProcessRecord | undefined {
  const record = readRecord(join(daemonDirectories(dir).run, `${name}.json`));
  return record !== undefined && isRunning(record) ? record : undefined;
}

/** Names of all daemons with a record, running or not. */
export function recordedDaemons(dir: string): readonly string[] {
  try {
    const files = readdirSync(daemonDirectories(dir).run);
    return files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length));
  } catch {
    return [];
  }
}

/** SIGTERM, then SIGKILL after `graceMs`; returns when the process is gone and its record removed. */
export async function stopDaemon(dir: string, name: string, graceMs = 5000): Promise<void> {
  const record = findDaemon(dir, name);
  if (record !== undefined) await stopProcess(record, graceMs);
  rmSync(join(daemonDirectories(dir).run, `${name}.json`), { force: true });
}

/** Starts the daemon again with the command line that it was last started with; a running one is stopped first. */
export async function restartDaemon(dir: string, name: string): Promise<ProcessRecord> {
  const spec = specSchema.parse(JSON.parse(readFileSync(join(daemonDirectories(dir).run, `${name}.spec`), 'utf8')));
  await stopDaemon(dir, name);
  return startDaemon(dir, spec);
}

/** As kill(2) does; one that does not run is left alone. */
export function signalDaemon(dir: string, name: string, signal: NodeJS.Signals): void {
  const record = findDaemon(dir, name);
  if (record !== undefined) signalProcess(record, signal);
}

/** Throws LabError DaemonExited with the end of its log when it does not run any more. */
export function assertRunning(dir: string, name: string): void {
  if (findDaemon(dir, name) === undefined) throw exited(dir, name);
}

export async function stopProcess(record: ProcessRecord, graceMs: number): Promise<void> {
  signalProcess(record, 'SIGTERM');
  const deadline = performance.now() + graceMs;
  while (isRunning(record) && performance.now() < deadline) await delay(20);
  signalProcess(record, 'SIGKILL');
  while (isRunning(record)) await delay(10);
}

/** The record of a live process, for processes that somebody else started (a shim). */
export function recordOf(pid: number): ProcessRecord | undefined {
  const startTicks = readStartTicks(pid);
  return startTicks === undefined ? undefined : { pid, startTicks, bootId: readBootId() };
}

export function parseRecord(text: string): ProcessRecord {
  return recordSchema.parse(JSON.parse(text));
}

export function isRunning(record: ProcessRecord): boolean {
  return readStartTicks(record.pid) === record.startTicks && readBootId() === record.bootId;
}

async function spawnDaemon(spec: DaemonSpec, logFile: string): Promise<number> {
  const log = openSync(logFile, 'a');
  try {
    const [file, args] = spec.lifetime === 'Parent' ? dyingWithParent(spec) : [spec.file, spec.args];
    const env = { ...process.env, ...spec.environment };
    const child = spawn(file, args, { detached: true, stdio: ['ignore', log, log], env });
    await once(child, 'spawn');
    child.unref();
    return child.pid ?? 0;
  } finally {
    closeSync(log);
  }
}

function dyingWithParent(spec: DaemonSpec): readonly [string, readonly string[]] {
  return ['setpriv', ['--pdeathsig', 'KILL', '--', spec.file, ...spec.args]];
}

export function signalProcess(record: ProcessRecord, signal: NodeJS.Signals): void {
  if (!isRunning(record)) return;
  try {
    process.kill(record.pid, signal);
  } catch (error) {
    // ESRCH: it ended between the look and the signal.
    if (!hasCode(error, 'ESRCH')) throw error;
  }
}

/** Field 22 of /proc/PID/stat; undefined when there is no such process, or only its zombie. */
function readStartTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

function readRecord(file: string): ProcessRecord | undefined {
  try {
    return parseRecord(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

function writeJson(file: string, value: unknown): void {
  writeFileSync(`${file}.new`, JSON.stringify(value));
  renameSync(`${file}.new`, file);
}

function exited(dir: string, name: string): LabError {
  return new LabError('DaemonExited', `${name} ended:\n${logTail(join(daemonDirectories(dir).logs, `${name}.log`))}`);
}

function logTail(file: string): string {
  try {
    return readFileSync(file, 'utf8').slice(-3000);
  } catch {
    return '';
  }
}
