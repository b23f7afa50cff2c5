import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { sectionOf } from '../../agent/plans.ts';
import { waitFor } from '../../cluster/lab/wait.ts';

export interface Arm {
  readonly name: string;
  readonly plugin: 'None' | 'Agent' | 'Go';
  readonly isPlanned: boolean;
}

const defaults = { nofile: '1024', somaxconn: '4096' };
export const section = sectionOf();
const plannedNofile = String(section.containers[0]?.soft);

/** What a container has to see in the end: nobody is measured who did not do his work. */
function expectedFor({ plugin, isPlanned }: Arm): typeof defaults {
  if (!isPlanned || plugin === 'None') return defaults;
  const somaxconn = plugin === 'Agent' ? String(section.sysctls['net.core.somaxconn']) : defaults.somaxconn;
  return { nofile: plannedNofile, somaxconn };
}

function seenBy(pid: number): typeof defaults {
  const limits = readFileSync(`/proc/${pid}/limits`, 'utf8');
  const enter = [`--net=/proc/${pid}/ns/net`, 'cat', '/proc/sys/net/core/somaxconn'];
  return {
    nofile: /^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? '',
    somaxconn: execFileSync('nsenter', enter, { encoding: 'utf8' }).trim(),
  };
}

/** runc's own process, whose limit Go has raised, becomes the program a moment after the runtime has said that it runs. */
function becomesProgram(pid: number, signal: AbortSignal): Promise<boolean> {
  const isProgram = () => Promise.resolve(readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'connprobe');
  return waitFor(`process ${pid} is the program`, isProgram, { signal, timeoutMs: 10_000 });
}

/** Throws where a container has not what its arm gives it. */
export async function checkContainers(arm: Arm, pids: readonly number[], signal: AbortSignal): Promise<void> {
  await Promise.all(pids.map((pid) => becomesProgram(pid, signal)));
  const expected = JSON.stringify(expectedFor(arm));
  const wrong = pids.map((pid) => JSON.stringify(seenBy(pid))).find((seen) => seen !== expected);
  if (wrong !== undefined) throw new Error(`${arm.name}: a container has ${wrong}, not ${expected}`);
}
