import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './lab/command.ts';
import { cacheDirectory } from './lab/environment.ts';
import { readMachineSysctls } from './lab/machine-sysctls.ts';

/** What a cluster leaves its marks on. */
export type MachineState = {
  readonly namespaces: string;
  readonly links: readonly string[];
  readonly routes: string;
  readonly mountPoints: readonly string[];
  readonly cgroups: readonly string[];
  readonly folders: readonly string[];
  readonly programs: readonly string[];
  readonly sysctls: Readonly<Record<string, string>>;
};

const foldersWithMarks = ['/', '/run', '/opt', '/etc', '/var/lib', '/var/log'];

export async function readMachineState(signal: AbortSignal): Promise<MachineState> {
  const [namespaces, links, routes] = await Promise.all([
    run('ip', ['netns', 'list'], { signal }),
    readdir('/sys/class/net'),
    run('ip', ['route'], { signal }),
  ]);
  return {
    namespaces,
    links,
    routes,
    mountPoints: await readMountPoints(),
    cgroups: await namesIn('/sys/fs/cgroup', 2),
    folders: (await Promise.all(foldersWithMarks.map((folder) => namesIn(folder, 1)))).flat(),
    programs: await runningProgramsOfOurs(),
    sysctls: await readMachineSysctls(),
  };
}

async function readMountPoints(): Promise<readonly string[]> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  return mounts.split('\n').map((line) => line.split(' ')[4] ?? '');
}

async function namesIn(folder: string, depth: number): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => join(folder, entry.name));
  const below = depth > 1 ? await Promise.all(folders.map((name) => namesIn(name, depth - 1))) : [];
  return [...folders, ...below.flat()].toSorted();
}

/** Paths of the programs from our cache that run; containers' programs are found by their cgroups. */
async function runningProgramsOfOurs(): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const programs = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/exe`).catch(() => '')));
  return programs.filter((program) => program.startsWith(cacheDirectory())).toSorted();
}
