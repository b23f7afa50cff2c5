import { readdirSync, readFileSync } from 'node:fs';
import type { NodeFacts } from '../planner/demand.ts';

/** The facts that the planner knows, without what else this kernel says. */
export const plannerFacts = (facts: NodeFacts): NodeFacts => ({
  kernelRelease: facts.kernelRelease,
  nrOpen: facts.nrOpen,
  fileMax: facts.fileMax,
  conntrackMax: facts.conntrackMax,
  tcpMemMaximumPages: facts.tcpMemMaximumPages,
  epollMaxUserWatches: facts.epollMaxUserWatches,
  maxTwBuckets: facts.maxTwBuckets,
  memoryBytes: facts.memoryBytes,
  runtimeNofile: facts.runtimeNofile,
  settableNofile: facts.settableNofile,
});

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
