import { statSync } from 'node:fs';
import { LinuxError } from '../linux/linux-error.ts';
import {
  type DescriptorCount,
  descendantsOf,
  type ProcessEntry,
  readDescriptorCount,
  readProcessFile,
  readProcessTable,
} from '../linux/proc.ts';
import { readNofile } from '../linux/rlimits.ts';
import type { Target } from './doctor-target.ts';

/** The descriptors of one process and its RLIMIT_NOFILE. */
export interface ProcessUse extends DescriptorCount {
  readonly pid: number;
  readonly command: string;
  readonly soft: number;
  readonly hard: number;
}

export interface ProcessUses {
  readonly processes: readonly ProcessUse[];
  /** Those that this user may not look at. */
  readonly unreadable: number;
}

/** kthreadd(8) and what it starts: the kernel's own, without descriptors. */
const kernelThreadParent = 2;
const isKernelThread = ({ pid, parentPid }: ProcessEntry): boolean =>
  pid === kernelThreadParent || parentPid === kernelThreadParent;

const isInNamespace = (pid: number, inode: number): boolean | undefined => {
  try {
    return statSync(`/proc/${pid}/ns/net`).ino === inode;
  } catch {
    return undefined;
  }
};

/** undefined: it ended meanwhile, or this user may not look. */
const useOf = (pid: number): ProcessUse | undefined => {
  try {
    const command = readProcessFile(pid, 'comm').trim();
    return { pid, command, ...readDescriptorCount(pid), ...readNofile(pid) };
  } catch (error) {
    if (error instanceof LinuxError) return undefined;
    throw error;
  }
};

const entriesFor = async (target: Target, signal: AbortSignal): Promise<readonly ProcessEntry[]> => {
  const table = await readProcessTable({ signal });
  if (target.kind === 'Process') return descendantsOf(table, target.pid ?? 0);
  return [...table.values()].filter((entry) => !isKernelThread(entry));
};

/** Without a listing of descriptors: three small files and a stat(2) for each process. */
export const readProcessUses = async (target: Target, signal: AbortSignal): Promise<ProcessUses> => {
  const processes: ProcessUse[] = [];
  let unreadable = 0;
  for (const { pid } of await entriesFor(target, signal)) {
    const isInside = target.kind !== 'Namespace' || isInNamespace(pid, target.netnsInode);
    const use = isInside === true ? useOf(pid) : undefined;
    if (isInside === undefined || (isInside && use === undefined)) unreadable += 1;
    if (use !== undefined && use.descriptors > 0) processes.push(use);
  }
  return { processes: processes.toSorted((a, b) => b.descriptors / b.soft - a.descriptors / a.soft), unreadable };
};
