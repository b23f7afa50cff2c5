import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { hasCode } from './lab-error.ts';
import { recordOf, stopProcess } from './process.ts';

const root = '/sys/fs/cgroup';

/** Makes the cgroup in every hierarchy that is mounted (one with cgroup v2, one per controller with v1). */
export async function createCgroups(name: string): Promise<void> {
  for (const hierarchy of await hierarchies()) await mkdir(join(hierarchy, name), { recursive: true });
  if (isUnified()) await delegateControllers(name);
}

/** Ends every process in the cgroup and below, then removes it; returns when it is gone. */
export async function removeCgroups(name: string): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    const top = join(hierarchy, name);
    for (const cgroup of await descendants(top)) {
      await killMembers(cgroup);
      await removeWhenEmpty(cgroup);
    }
  }
}

async function hierarchies(): Promise<readonly string[]> {
  if (isUnified()) return [root];
  const names = await readdir(root);
  return names.map((name) => join(root, name)).filter((path) => existsSync(join(path, 'cgroup.procs')));
}

function isUnified(): boolean {
  return existsSync(join(root, 'cgroup.controllers'));
}

async function delegateControllers(name: string): Promise<void> {
  const available = (await readFile(join(root, 'cgroup.controllers'), 'utf8')).trim().split(' ');
  const wanted = available.map((controller) => `+${controller}`).join(' ');
  await writeFile(join(root, 'cgroup.subtree_control'), wanted);
  await writeFile(join(root, name, 'cgroup.subtree_control'), wanted);
}

/** The cgroup and all below it, deepest first. */
async function descendants(top: string): Promise<readonly string[]> {
  if (!existsSync(top)) return [];
  const entries = await readdir(top, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => join(top, entry.name));
  const below = await Promise.all(folders.map(descendants));
  return [...below.flat(), top];
}

async function killMembers(cgroup: string): Promise<void> {
  const members = await readFile(join(cgroup, 'cgroup.procs'), 'utf8');
  const pids = members.split('\n').filter((line) => line !== '');
  await Promise.all(pids.map((pid) => kill(Number(pid))));
}

async function kill(pid: number): Promise<void> {
  const record = recordOf(pid);
  if (record !== undefined) await stopProcess(record, 0);
}

// A process that has ended stays in its cgroup until it is reaped.
async function removeWhenEmpty(cgroup: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    try {
      await rmdir(cgroup);
      return;
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return;
      await delay(20);
    }
  }
}
