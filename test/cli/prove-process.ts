import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { descendantsOf, readProcessTable } from '../../src/linux/proc.ts';

export const budget = (spec: string): string =>
  `apiVersion: connectionbudget.io/v1alpha1\nkind: ConnectionBudget\nmetadata: {name: small}\nspec:\n  selector: {matchLabels: {app: x}}\n${spec}\n`;
export const accepting = (connections: number, clients = ''): string =>
  budget(`  inbound: [{name: in, port: 80, connections: ${connections}${clients}}]`);
export const program = new URL('../../src/bin/connection-budget.ts', import.meta.url).pathname;

export interface Started {
  readonly child: ChildProcess;
  readonly said: () => string;
}

export const start = (input: string, args: readonly string[] = []): Started => {
  const child = spawn(process.execPath, [program, 'prove', '-f', '-', ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end(input);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
  return { child, said: () => said };
};

export const belowOf = async (child: ChildProcess) => {
  const table = await readProcessTable({ signal: AbortSignal.timeout(5000) });
  return descendantsOf(table, child.pid ?? 0).slice(1);
};

export const areGone = (pids: readonly number[]): boolean =>
  pids.every((pid) => {
    try {
      return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
    } catch {
      return true;
    }
  });
