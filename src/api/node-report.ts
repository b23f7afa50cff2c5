import type { NodeFacts } from '../planner/demand.ts';

/** Of the ConnectionNode, what the agent that writes it needs; its schema, which only readers need, stays out of the agent. */

export const podReasons = [
  'Applied',
  'AppliedLate',
  'SignatureInvalid',
  'LimitNotSettable',
  'SysctlNotSettable',
  'AddressesMissing',
  'SpreadNotAvailable',
  'Pending',
  'Gone',
] as const;

/** The facts that a plan knows, without what else was read of the kernel. */
export const plannedFacts = (facts: NodeFacts): NodeFacts => ({
  kernelRelease: facts.kernelRelease?.slice(0, 128),
  nrOpen: facts.nrOpen,
  fileMax: facts.fileMax,
  conntrackMax: facts.conntrackMax,
  tcpMemMaximumPages: facts.tcpMemMaximumPages,
  epollMaxUserWatches: facts.epollMaxUserWatches,
  maxTwBuckets: facts.maxTwBuckets,
  memoryBytes: facts.memoryBytes,
  runtimeNofile: facts.runtimeNofile && { soft: facts.runtimeNofile.soft, hard: facts.runtimeNofile.hard },
  settableNofile: facts.settableNofile,
});
