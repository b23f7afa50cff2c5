import { mkdirSync, rmdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ownCgroup2 } from '../../src/linux/cgroups.ts';
import { type ChildProgram, startShell } from '../linux/child-program.ts';

export const sandboxId = 'sandbox-1';
export const containerId = 'container-gateway';

let made = 0;

/**
 * A shell as a first process of the pod that `podIn` describes, and of the container that `containerOf` does: in a cgroup
 * that bears their ids, as runtimes make them.
 */
export async function startInPod(setUp: string, ids = [sandboxId, containerId]): Promise<ChildProgram> {
  made += 1;
  const cgroup = `${ownCgroup2() ?? ''}/connbudget-${process.pid}-${made}-${ids.join('-')}`;
  mkdirSync(cgroup);
  const program = await startShell(`echo $$ > ${cgroup}/cgroup.procs; ${setUp}`);
  const end = async (): Promise<void> => {
    await program[Symbol.asyncDispose]();
    await removed(cgroup);
  };
  return { ...program, [Symbol.asyncDispose]: end };
}

/** Killed processes stay in it for a moment. */
async function removed(cgroup: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    try {
      return rmdirSync(cgroup);
    } catch {
      await sleep(10);
    }
  }
  throw new Error(`${cgroup} cannot be removed`);
}
