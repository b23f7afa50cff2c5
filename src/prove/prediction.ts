import type { Demand } from '../planner/demand.ts';
import { type Limit, limitFor, type LimitName, noTerms, type Stage } from '../planner/limit.ts';
import { loadsFor } from '../planner/load.ts';
import { bindingLimitOf, reachableConnections } from '../planner/reachable.ts';
import type { ProofState } from './proof-state.ts';

/** errno as Linux numbers it on every architecture that Node runs on. */
export const errnos = {
  EINTR: 4,
  EAGAIN: 11,
  ENOMEM: 12,
  ENFILE: 23,
  EMFILE: 24,
  ENOSPC: 28,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENOBUFS: 105,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
} as const;

export interface StoppedBy {
  readonly stage: Stage;
  readonly limit: LimitName;
  readonly errno: number;
}

/** What a phase reaches, foretold or seen; stoppedBy null: all that is declared. */
export interface Reach {
  readonly reached: number;
  readonly stoppedBy: StoppedBy | null;
}

/** How the kernel says that a limit is reached. */
const errnoOf: Readonly<Partial<Record<LimitName, number>>> = {
  RLIMIT_NOFILE: errnos.EMFILE,
  'fs.nr_open': errnos.EMFILE,
  'fs.file-max': errnos.ENFILE,
  'net.ipv4.ip_local_port_range': errnos.EADDRNOTAVAIL,
  SourcePorts: errnos.EADDRNOTAVAIL,
  ClientPorts: errnos.EADDRNOTAVAIL,
  TranslatorPorts: errnos.ETIMEDOUT,
  MaxConnectionsPerAddress: errnos.ECONNREFUSED,
  'net.netfilter.nf_conntrack_max': errnos.ETIMEDOUT,
  'fs.epoll.max_user_watches': errnos.ENOSPC,
  MemoryTotal: errnos.ENOMEM,
};

const bindsEarly = (demand: Demand, { concerns }: Limit): boolean =>
  (concerns ?? []).every((index) => demand.outbound[index - demand.inbound.length]?.binding === 'Early');

const errnoFor = (demand: Demand, limit: Limit): number =>
  limit.limit === 'net.ipv4.ip_local_port_range' && bindsEarly(demand, limit)
    ? errnos.EADDRINUSE
    : (errnoOf[limit.limit] ?? errnos.ETIMEDOUT);

/** No more of a flow is opened than it declares: one limit more for each, in the planner's own terms. */
const declaredLimits = ({ inbound, outbound }: Demand): readonly Limit[] =>
  [...inbound, ...outbound].map(({ name, connections }, index) =>
    limitFor({
      stage: 'Socket',
      limit: 'SourcePorts',
      scope: 'Pod',
      flow: name,
      unit: 'connections',
      terms: { ...noTerms, connections, declared: connections },
      capacity: connections,
      concerns: [index],
    }),
  );

/** What the planner says that this pod reaches on this machine, and what stops it. */
export const predictionFor = ({ demand, plan }: ProofState): Reach => {
  const loads = loadsFor(demand);
  const limits = [...plan.limits, ...declaredLimits(demand)];
  const reached = reachableConnections(limits, loads);
  const binding = reached < plan.connections.declared ? bindingLimitOf(limits, loads) : undefined;
  if (binding === undefined) return { reached, stoppedBy: null };
  return { reached, stoppedBy: { stage: binding.stage, limit: binding.limit, errno: errnoFor(demand, binding) } };
};

/**
 * Whether what was seen is what was foretold: exactly, but for a translator: the kernel's NAT draws free ports at random
 * and gives up after some tries, so its last ones are a matter of luck.
 */
export const isAsPredicted = (predicted: Reach, seen: Reach): boolean => {
  const sameLimit = predicted.stoppedBy?.limit === seen.stoppedBy?.limit;
  const sameErrno = predicted.stoppedBy?.errno === seen.stoppedBy?.errno;
  const slack = predicted.stoppedBy?.limit === 'TranslatorPorts' ? 0.02 * predicted.reached : 0;
  return sameLimit && sameErrno && Math.abs(predicted.reached - seen.reached) <= slack;
};
