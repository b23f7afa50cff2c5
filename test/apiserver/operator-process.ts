import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import { operatorNamespace } from './controller-setting.ts';

/** The operator as it runs in its container, on free ports of 127.0.0.1. */
export interface OperatorProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  /** What it wrote to its log, as objects. */
  readonly log: readonly LogLine[];
  /** The status and the body of one of its probes or metrics; 0 while it does not listen. */
  readonly get: (path: string) => Promise<{ readonly status: number; readonly body: string }>;
}

interface LogLine {
  readonly message: string;
  readonly port?: number;
  readonly part?: string;
}

const program = new URL('../../src/bin/operator.ts', import.meta.url).pathname;

export function startOperator(kubeconfig: string, identity: string, extra: readonly string[] = []): OperatorProcess {
  const flags = {
    kubeconfig,
    identity,
    namespace: operatorNamespace,
    host: '127.0.0.1',
    'webhook-port': '0',
    'observability-port': '0',
    'webhook-drain-seconds': '0',
  };
  const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, ...args, ...extra], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const log: LogLine[] = [];
  createInterface(child.stdout).on('line', (line) => log.push(JSON.parse(line) as LogLine));
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const get: OperatorProcess['get'] = async (path) => {
    const port = log.find(({ message }) => message === 'probes and metrics are served')?.port;
    if (port === undefined) return { status: 0, body: '' };
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: answer.status, body: await answer.text() };
  };
  return { child, exited, log, get };
}

export async function isLeading({ get }: OperatorProcess): Promise<boolean> {
  return /^connectionbudget_leader_info 1$/m.test((await get('/metrics')).body);
}
