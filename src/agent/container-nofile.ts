import type { Rlimit } from '../linux/libc.ts';
import { LinuxError } from '../linux/linux-error.ts';
import type { ProcessIdentity } from '../linux/proc.ts';
import { bestNofile, readNofile, setNofile } from '../linux/rlimits.ts';
import { reaches } from './adjust.ts';
import { type Finding, nofileFinding } from './finding.ts';
import type { Host } from './host.ts';
import type { Raises } from './planned-pods.ts';

/**
 * What lowers its limit again wants less, and is left alone. Not the first time: runc's init, still there in the moment
 * after the start, puts back the limit of its own start when it becomes the program (Go does so at exec).
 */
const mostRaises = 2;

export interface CheckedProcesses {
  /** Something was set here, so after the start. */
  readonly hasRaised: boolean;
  readonly findings: readonly Finding[];
  readonly raises: Raises;
}

export interface ContainerCheck {
  readonly name: string;
  readonly planned: Rlimit;
  readonly processes: readonly ProcessIdentity[];
  readonly raises: Raises;
}

interface ProcessCheck {
  readonly process: ProcessIdentity;
  readonly limit: Rlimit;
  readonly hasRaised: boolean;
  readonly why: string;
}

const keyOf = ({ pid, startTimeTicks }: ProcessIdentity): string => `${pid}:${startTimeTicks}`;

/** Reads the limits of a container's processes and raises what is below the plan. */
export function checkNofile(container: ContainerCheck, host: Host): CheckedProcesses {
  const checks = container.processes.flatMap((process) => unlessGone(() => checkProcess(process, container, host)));
  const short = checks
    .filter(({ limit }) => !reaches(limit, container.planned))
    .toSorted((a, b) => a.limit.soft - b.limit.soft);
  return {
    hasRaised: checks.some(({ hasRaised }) => hasRaised),
    findings: short.slice(0, 1).map((worst) => findingFor(container, worst)),
    raises: new Map(checks.map((check) => [keyOf(check.process), raisesOf(check, container)])),
  };
}

function raisesOf({ process, hasRaised }: ProcessCheck, { raises }: ContainerCheck): number {
  return (raises.get(keyOf(process)) ?? 0) + (hasRaised ? 1 : 0);
}

function checkProcess(process: ProcessIdentity, container: ContainerCheck, host: Host): ProcessCheck {
  const limit = readNofile(process.pid, host.procRoot);
  const check = { process, limit, hasRaised: false, why: '' };
  if (reaches(limit, container.planned)) return check;
  const best = bestFor(container.planned, limit, host);
  if (reaches(limit, best)) return { ...check, why: ', the most that can be set' };
  if (raisesOf(check, container) >= mostRaises) return { ...check, why: ', lowered by the program itself' };
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
