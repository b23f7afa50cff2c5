import type { Rlimit } from '../linux/libc.ts';
import { LinuxError } from '../linux/linux-error.ts';
import type { ProcessIdentity } from '../linux/proc.ts';
import { bestNofile, readNofile, setNofile } from '../linux/rlimits.ts';
import { reaches } from './adjust.ts';
import { type Finding, nofileFinding } from './finding.ts';
import type { Host } from './host.ts';

/** A process that had what is planned once, as "pid:start time". */
export type SettledProcess = string;

export interface CheckedProcesses {
  /** Something was set here, so after the start. */
  readonly hasRaised: boolean;
  readonly findings: readonly Finding[];
  readonly settled: ReadonlySet<SettledProcess>;
}

export interface ContainerCheck {
  readonly name: string;
  readonly planned: Rlimit;
  readonly processes: readonly ProcessIdentity[];
  readonly settled: ReadonlySet<SettledProcess>;
}

interface ProcessCheck {
  readonly process: ProcessIdentity;
  readonly limit: Rlimit;
  readonly hasRaised: boolean;
  readonly why: string;
}

const settledKey = ({ pid, startTimeTicks }: ProcessIdentity): SettledProcess => `${pid}:${startTimeTicks}`;

/** Reads the limits of a container's processes and raises what is below the plan, each process once. */
export function checkNofile(container: ContainerCheck, host: Host): CheckedProcesses {
  const checks = container.processes.flatMap((process) => unlessGone(() => checkProcess(process, container, host)));
  const short = checks
    .filter(({ limit }) => !reaches(limit, container.planned))
    .toSorted((a, b) => a.limit.soft - b.limit.soft);
  return {
    hasRaised: checks.some(({ hasRaised }) => hasRaised),
    findings: short.slice(0, 1).map((worst) => findingFor(container, worst)),
    settled: new Set(checks.filter((check) => isSettled(check, container)).map(({ process }) => settledKey(process))),
  };
}

function isSettled({ process, limit }: ProcessCheck, { settled, planned }: ContainerCheck): boolean {
  return settled.has(settledKey(process)) || reaches(limit, planned);
}

function checkProcess(process: ProcessIdentity, container: ContainerCheck, host: Host): ProcessCheck {
  const limit = readNofile(process.pid, host.procRoot);
  const check = { process, limit, hasRaised: false };
  if (reaches(limit, container.planned)) return { ...check, why: '' };
  // What has it and gives it up wants less: a second raise would be a fight with the program.
  if (container.settled.has(settledKey(process))) return { ...check, why: ', lowered by the program itself' };
  const best = bestFor(container.planned, limit, host);
  if (reaches(limit, best)) return { ...check, why: ', the most that can be set' };
  try {
    return {
      process,
      limit: setNofile(process, best, host.procRoot),
      hasRaised: true,
      why: ', the most that can be set',
    };
  } catch (error) {
    if (!(error instanceof LinuxError) || error.kind === 'Gone') throw error;
    return { ...check, why: ` (${error.message})` };
  }
}

function bestFor(planned: Rlimit, current: Rlimit, { facts, caps }: Host): Rlimit {
  const { nrOpen = current.hard, canRaiseNofile } = facts();
  const allowed = { soft: planned.soft, hard: Math.min(planned.hard, Math.max(caps.maximumNofile, current.hard)) };
  return bestNofile(allowed, { currentHard: current.hard, nrOpen, canRaise: canRaiseNofile });
}

function findingFor({ name, planned }: ContainerCheck, { process, limit, why }: ProcessCheck): Finding {
  return nofileFinding(name, planned, { limit, what: `has process ${process.pid}${why}` });
}

function unlessGone<T>(read: () => T): readonly T[] {
  try {
    return [read()];
  } catch (error) {
    if (error instanceof LinuxError && error.kind === 'Gone') return [];
    throw error;
  }
}
