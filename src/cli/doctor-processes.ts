import { statSync } from 'node:fs';
import { printable } from '../api/printable.ts';
import { sampleDescriptors } from '../linux/descriptor-sample.ts';
import { linuxErrorFrom } from '../linux/linux-error.ts';
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
export interface ProcessUse {
  readonly pid: number;
  readonly command: string;
  readonly descriptors: number;
  /** UpperBound, Estimate: a kernel before 6.2, which does not tell the number. */
  readonly exactness: DescriptorCount['exactness'] | 'Estimate';
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

/** What this user may not look at is "Unreadable"; a process that ends meanwhile says nothing, or half of it. */
const lookAt = <T>(pid: number, look: () => T): T | 'Unreadable' | undefined => {
  try {
    return look();
  } catch (error) {
    const { kind } = linuxErrorFrom(error, { syscall: 'stat', attempt: `look at process ${pid}` });
    return kind === 'NotPermitted' ? 'Unreadable' : undefined;
  }
};

const isInside = ({ kind, netnsInode }: Target, pid: number): boolean =>
  kind !== 'Namespace' || statSync(`/proc/${pid}/ns/net`).ino === netnsInode;

/** A table that is smaller than half of the limit says enough; else its descriptors are estimated. */
export const countedDescriptors = (
  counted: DescriptorCount,
  soft: number,
  sample: (slots: number) => number,
): Pick<ProcessUse, 'descriptors' | 'exactness'> =>
  counted.exactness === 'Exact' || counted.descriptors < soft / 2
    ? counted
    : { descriptors: sample(counted.descriptors), exactness: 'Estimate' };

const useOf = (pid: number): ProcessUse => {
  const nofile = readNofile(pid);
  const counted = countedDescriptors(readDescriptorCount(pid), nofile.soft, (slots) => sampleDescriptors(pid, slots));
  return { pid, command: printable(readProcessFile(pid, 'comm').trim()), ...counted, ...nofile };
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
    const use = lookAt(pid, () => (isInside(target, pid) ? useOf(pid) : undefined));
    if (use === 'Unreadable') unreadable += 1;
    else if (use !== undefined && use.descriptors > 0) processes.push(use);
  }
  return { processes: processes.toSorted((a, b) => b.descriptors / b.soft - a.descriptors / a.soft), unreadable };
};
