import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { connectionBudget } from './command.ts';

/** A program that names itself as any program may (prctl(2), PR_SET_NAME). */
const renamed = String.raw`require('fs').writeFileSync('/proc/self/comm', '\x1b[2J\nx'); console.log('named'); setInterval(() => 0, 1000)`;

test('the name of a process commands no terminal', async () => {
  const child = spawn(process.execPath, ['-e', renamed]);
  onTestFinished(() => void child.kill());
  await once(createInterface(child.stdout), 'line');

  const { stdout } = connectionBudget(['doctor', '--pid', String(child.pid)]);
  expect(stdout).toContain(String.raw`process ${child.pid} (\u{1b}[2J\u{a}x)`);
  expect(stdout).not.toContain('\u001b');
});
