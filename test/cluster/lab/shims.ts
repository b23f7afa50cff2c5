import { readdir, readFile, readlink } from 'node:fs/promises';
import { recordOf, stopProcess } from './process.ts';

const shimProgram = 'containerd-shim-runc-v2';

/** Ends the shims that serve the containerd at `address`, known by their command line; their containers live on. */
export async function stopShims(address: string): Promise<void> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  await Promise.all(pids.map((pid) => stopIfOurs(pid, address)));
}

async function stopIfOurs(pid: number, address: string): Promise<void> {
  const record = recordOf(pid);
  if (record === undefined || !(await isShimOf(pid, address))) return;
  await stopProcess(record, 0);
}

async function isShimOf(pid: number, address: string): Promise<boolean> {
  try {
    const program = await readlink(`/proc/${pid}/exe`);
    const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
    return program.endsWith(`/${shimProgram}`) && args.includes(address);
  } catch {
    return false;
  }
}
