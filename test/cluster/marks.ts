import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster } from './lab/cluster.ts';

/** Something on this machine that bears a cluster's name, or is in one of its address ranges or folders. */
export type Mark = {
  readonly kind: 'cgroup' | 'folder' | 'link' | 'mount' | 'process' | 'route';
  readonly name: string;
};

/** Everything that shows that this cluster is, or was, on the machine. */
export async function readMarks(cluster: Cluster): Promise<readonly Mark[]> {
  const isOurs = (text: string) => text.includes(cluster.instance) || text.includes(cluster.dir);
  const found = [
    marks('cgroup', await namesBelow('/sys/fs/cgroup', 2), isOurs),
    marks('folder', [...(await namesBelow('/run', 2)), ...(existsSync(cluster.dir) ? [cluster.dir] : [])], isOurs),
    marks('link', await readdir('/sys/class/net'), isOurs),
    marks('mount', (await readFile('/proc/self/mountinfo', 'utf8')).split('\n'), isOurs),
    marks('process', await processes(), isOurs),
    marks('route', await routeTargets(), (target) => cluster.network.ranges.some((range) => startOf(range) === target)),
  ];
  return found.flat();
}

function marks(kind: Mark['kind'], names: readonly string[], isOurs: (name: string) => boolean): readonly Mark[] {
  return names.filter(isOurs).map((name) => ({ kind, name }));
}

async function namesBelow(folder: string, depth: number): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const paths = entries.map((entry) => join(folder, entry.name));
  const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => join(folder, entry.name));
  const below = depth > 1 ? await Promise.all(folders.map((name) => namesBelow(name, depth - 1))) : [];
  return [...paths, ...below.flat()];
}

/** Each process's command line and cgroups, in one text. */
async function processes(): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return Promise.all(pids.map(async (pid) => `${pid} ${await readOf(pid, 'cmdline')} ${await readOf(pid, 'cgroup')}`));
}

function readOf(pid: string, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
}

/** Destinations of the machine's routes as /proc/net/route has them: eight hexadecimal digits, lowest byte first. */
async function routeTargets(): Promise<readonly string[]> {
  const lines = (await readFile('/proc/net/route', 'utf8')).split('\n').slice(1);
  return lines.map((line) => line.split('\t')[1] ?? '');
}

/** 198.18.3.0/24 → 000312C6 */
function startOf(range: string): string {
  const octets = (range.split('/')[0] ?? '').split('.').toReversed();
  return octets.map((octet) => Number(octet).toString(16).padStart(2, '0').toUpperCase()).join('');
}
