import type { PlanSection } from '../api/pod-annotation.ts';
import type { Rlimit } from '../linux/libc.ts';
import { bestNofile } from '../linux/rlimits.ts';
import type { ContainerAdjustment } from '../nri/handlers.ts';
import { type Finding, nofileFinding, unknownNofileFinding } from './finding.ts';

/** What the agent's own configuration allows, whatever is signed. */
export interface AgentCaps {
  /** The agent raises no hard limit above it, in descriptors. */
  readonly maximumNofile: number;
  readonly sysctls: ReadonlySet<string>;
}

/** What is known of the node where a container is about to be created; undefined: Unknown. */
export interface NodeNofile {
  /** What the runtime gives a container by itself. */
  readonly runtime: Rlimit | undefined;
  /** The highest hard limit that the runtime can give without failing the creation. */
  readonly settable: number | undefined;
}

export interface RuntimeNofileFacts {
  readonly nrOpen?: number | undefined;
  readonly runtimeNofile?: Rlimit | undefined;
  readonly runtimeCanRaiseNofile?: boolean | undefined;
}

export interface Adjusted {
  /** Undefined: the container is not planned, or nothing can be set without risking its creation. */
  readonly adjustment?: ContainerAdjustment;
  readonly findings: readonly Finding[];
}

const infinite = Number.POSITIVE_INFINITY;

/** Descriptors that the runtime can give a container: its hard limit, or fs.nr_open where it has CAP_SYS_RESOURCE. */
export function settableNofileFor(facts: RuntimeNofileFacts, sandbox: Rlimit | undefined): number | undefined {
  // The shim of a pod keeps the limits of its start: what the pod's sandbox has is what its containers inherit.
  const currentHard = sandbox?.hard ?? facts.runtimeNofile?.hard;
  if (currentHard === undefined || facts.nrOpen === undefined) return undefined;
  const bounds = { currentHard, nrOpen: facts.nrOpen, canRaise: facts.runtimeCanRaiseNofile ?? false };
  return bestNofile({ soft: infinite, hard: infinite }, bounds).hard;
}

/** The limits planned for a container; a container that nobody named has none. */
export function plannedNofile(section: PlanSection, containerName: string): Rlimit | undefined {
  if (containerName === '') return undefined;
  const planned = section.containers.find(({ name }) => name === containerName);
  return planned === undefined ? undefined : { soft: planned.soft, hard: Math.max(planned.soft, planned.hard) };
}

/**
 * Never lower than what the runtime gives, never more than can be set: runc fails a container whose limit it cannot set.
 * Planned 600,000 where 524,288 can be set: 524,288 and a finding. Planned 2,000 where the runtime gives 1,024 soft,
 * 524,288 hard: 2,000 soft, 524,288 hard.
 */
export function nofileFor(planned: Rlimit, node: NodeNofile, maximumNofile: number): Rlimit | undefined {
  const { runtime, settable } = node;
  if (settable === undefined) return undefined;
  const most = Math.min(settable, Math.max(maximumNofile, runtime?.hard ?? 0));
  const hard = Math.min(Math.max(planned.hard, runtime?.hard ?? 0), most);
  return { soft: Math.min(Math.max(planned.soft, runtime?.soft ?? 0), hard), hard };
}

export const reaches = (limit: Rlimit, planned: Rlimit): boolean =>
  limit.soft >= planned.soft && limit.hard >= planned.hard;

/** What to change in a container before it is created; from memory alone. */
export function adjustContainer(
  section: PlanSection,
  containerName: string,
  { node, caps }: { readonly node: NodeNofile; readonly caps: AgentCaps },
): Adjusted {
  const planned = plannedNofile(section, containerName);
  if (planned === undefined) return { findings: [] };
  const limit = nofileFor(planned, node, caps.maximumNofile);
  if (limit === undefined) {
    const why = 'not set at creation: what the container runtime can set is unknown here';
    return { findings: [unknownNofileFinding(containerName, planned, why)] };
  }
  const rlimits = [{ type: 'RLIMIT_NOFILE', soft: BigInt(limit.soft), hard: BigInt(limit.hard) }];
  if (reaches(limit, planned)) return { adjustment: { rlimits }, findings: [] };
  const what = limit.hard < caps.maximumNofile ? 'can be set on this node' : 'allowed by the agent of this node';
  return { adjustment: { rlimits }, findings: [nofileFinding(containerName, planned, { limit, what })] };
}
