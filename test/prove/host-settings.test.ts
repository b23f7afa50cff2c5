import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { changeHostSettings, restoreHostSettings } from '../../src/prove/host-settings.ts';

let directory: string;
let before: number;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'host-settings-'));
  before = current();
});
afterEach(() => rmSync(directory, { recursive: true }));

const path = '/proc/sys/fs/epoll/max_user_watches';
const name = 'fs.epoll.max_user_watches' as const;
const current = (): number => Number(readFileSync(path, 'utf8'));
const signal = AbortSignal.timeout(20_000);

const killedWhileChanged = async (value: number): Promise<void> => {
  const program = new URL('./host-settings-program.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, ['--no-warnings', program, directory, name, String(value)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  expect(current()).toBe(value);
  // While it lives nobody else restores.
  restoreHostSettings(directory);
  expect(current()).toBe(value);
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
};

it('are what they were when the change is over', async () => {
  const change = await changeHostSettings([{ name, value: before + 1 }], { directory, signal });
  expect(current()).toBe(before + 1);
  change[Symbol.dispose]();
  expect(current()).toBe(before);
  expect(readdirSync(directory)).toEqual(['host-settings.lock']);
});

it('are restored by the next run when whoever changed them was killed', async () => {
  await killedWhileChanged(before + 2);
  expect(current()).toBe(before + 2);
  restoreHostSettings(directory);
  expect(current()).toBe(before);
});

it('are restored before they are changed again', async () => {
  await killedWhileChanged(before + 3);
  const change = await changeHostSettings([{ name, value: before + 4 }], { directory, signal });
  expect(current()).toBe(before + 4);
  change[Symbol.dispose]();
  expect(current()).toBe(before);
});

it('stay as somebody else has set them meanwhile', async () => {
  const change = await changeHostSettings([{ name, value: before + 5 }], { directory, signal });
  writeFileSync(path, `${before + 6}\n`);
  change[Symbol.dispose]();
  expect(current()).toBe(before + 6);
  writeFileSync(path, `${before}\n`);
});

it('are changed by one at a time', async () => {
  const first = await changeHostSettings([{ name, value: before + 7 }], { directory, signal });
  const second = changeHostSettings([{ name, value: before + 8 }], { directory, signal });
  await expect(changeHostSettings([], { directory, signal: AbortSignal.timeout(200) })).rejects.toThrow();
  expect(current()).toBe(before + 7);
  first[Symbol.dispose]();
  const change = await second;
  expect(current()).toBe(before + 8);
  change[Symbol.dispose]();
});

it('that the kernel refuses leave everything as it was', async () => {
  const wanted = [
    { name, value: before + 9 },
    { name: 'fs.file-max', value: -2 },
  ] as const;
  await expect(changeHostSettings(wanted, { directory, signal })).rejects.toThrow('cannot set fs.file-max to -2');
  expect(current()).toBe(before);
});
