import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readProcess } from '../../src/linux/proc.ts';
import { endLeftovers, startRecord } from '../../src/prove/leftovers.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'leftovers-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const sleeper = async () => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const { pid, startTimeTicks } = readProcess(child.pid ?? 0);
  return { child, identity: { pid, startTimeTicks } };
};

/** The record of a proof whose own process is gone: no process has started before the machine. */
const record = (processes: readonly { readonly pid: number; readonly startTimeTicks: number }[]): void =>
  writeFileSync(
    join(directory, 'killed.json'),
    JSON.stringify({ proof: { pid: process.pid, startTimeTicks: 0 }, processes }),
  );

it('ends what a killed proof left, and its record', async () => {
  const { child, identity } = await sleeper();
  record([identity]);
  const ended = once(child, 'exit');
  endLeftovers(directory);
  expect(await ended).toEqual([null, 'SIGKILL']);
  expect(readdirSync(directory)).toEqual([]);
});

it('leaves alone a younger process that has the recorded id by now', async () => {
  const { child, identity } = await sleeper();
  record([{ ...identity, startTimeTicks: identity.startTimeTicks - 1 }]);
  endLeftovers(directory);
  expect(child.kill(0)).toBe(true);
  expect(readProcess(identity.pid)).toMatchObject(identity);
  child.kill('SIGKILL');
});

it('leaves alone what a running proof has', async () => {
  const { child, identity } = await sleeper();
  using running = startRecord(directory);
  running.add(identity.pid);
  endLeftovers(directory);
  expect(readProcess(identity.pid)).toMatchObject(identity);
  expect(readdirSync(directory)).toHaveLength(1);
  child.kill('SIGKILL');
});
