// A program of the tests, run in a pid namespace of its own: gives the pid of an ended process to a new one by
// kernel.ns_last_pid (pid_namespaces(7)), then sets nofile of the ended one and prints what came of it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

import { LinuxError } from '../../src/linux/linux-error.ts';
import { type ProcessIdentity, readProcess } from '../../src/linux/proc.ts';
import { readNofile, setNofile } from '../../src/linux/rlimits.ts';

const shell = (): ChildProcess => spawn('sh', ['-c', 'ulimit -Sn 100; sleep 600 & wait'], { stdio: 'ignore' });

async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function spawnAs(pid: number): Promise<ChildProcess> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
    const child = shell();
    if (child.pid === pid) return child;
    await end(child);
  }
  throw new Error(`pid ${pid} was not given again`);
}

function kindOf(identity: ProcessIdentity): string {
  try {
    setNofile(identity, { soft: 50, hard: 50, mayLower: true });
    return 'set';
  } catch (error) {
    return error instanceof LinuxError ? error.kind : 'not understood';
  }
}

const older = shell();
const pid = older.pid ?? 0;
const identity = readProcess(pid);
await setTimeout(50);
await end(older);
const younger = await spawnAs(pid);
while (readNofile(pid).soft !== 100) await setTimeout(10);
const result = {
  kind: kindOf(identity),
  nofileOfYounger: readNofile(pid).soft,
  kindForYounger: kindOf(readProcess(pid)),
};
process.stdout.write(JSON.stringify(result));
await end(younger);
process.exit();
