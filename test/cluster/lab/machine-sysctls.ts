import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What every kubelet sets on the machine that it runs on (pkg/kubelet/cm, setupKernelTunables). */
const changedByKubelet = [
  'vm/overcommit_memory',
  'vm/panic_on_oom',
  'kernel/panic',
  'kernel/panic_on_oops',
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
];

export async function readMachineSysctls(): Promise<Record<string, string>> {
  return Object.fromEntries(await Promise.all(changedByKubelet.map(readSysctl)));
}

async function readSysctl(name: string): Promise<readonly [string, string]> {
  return [name, (await readFile(join('/proc/sys', name), 'utf8')).trim()];
}

export async function restoreMachineSysctls(values: Readonly<Record<string, string>>): Promise<void> {
  const now = await readMachineSysctls();
  for (const name of changedByKubelet) {
    const before = values[name];
    if (before !== undefined && before !== now[name]) await writeFile(join('/proc/sys', name), before);
  }
}
