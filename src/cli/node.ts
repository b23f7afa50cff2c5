import { readdirSync, readFileSync } from 'node:fs';
const runtimes = new Set(['containerd', 'crio']);

const commandOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
};

/** The container runtime, whose limits containers start with; undefined where none runs. */
export const runtimePid = (): number | undefined => {
  const pid = readdirSync('/proc').find((entry) => /^\d+$/.test(entry) && runtimes.has(commandOf(entry)));
  return pid === undefined ? undefined : Number(pid);
};
