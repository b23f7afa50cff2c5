import type { Demand } from './demand.ts';
import { numberText } from './explain.ts';
import type { Limit, LimitName, Sysctl } from './limit.ts';
import type { Plan } from './plan.ts';

/** Something that the plan sets and that raises a limit. */
export interface Setting {
  readonly name: string;
  readonly value: string;
  readonly setBy: Sysctl['setBy'];
}

/** By what a limit is raised, and to how much: of what `capacity` was before. */
export interface Lift {
  readonly settings: readonly Setting[];
  readonly capacity: number;
}

const sysctlsThatRaise: Readonly<Partial<Record<LimitName, readonly string[]>>> = {
  'net.ipv4.ip_local_port_range': ['net.ipv4.ip_local_port_range', 'net.ipv4.tcp_tw_reuse'],
  SourcePorts: ['net.ipv4.tcp_tw_reuse'],
  AcceptQueue: ['net.core.somaxconn'],
  'net.ipv4.tcp_max_tw_buckets': ['net.ipv4.tcp_max_tw_buckets'],
};

const descriptorSettings = ({ containers }: Plan, { subject }: Limit): readonly Setting[] =>
  containers
    .filter(({ name }) => name === subject)
    .map(({ descriptors: { soft, hard } }) => ({
      name: 'RLIMIT_NOFILE',
      value: `${numberText(soft)} soft, ${numberText(hard)} hard`,
      setBy: 'Agent',
    }));

const addressSettings = ({ sourceAddresses: { total, extra } }: Plan, { stage }: Limit): readonly Setting[] =>
  stage === 'Socket' && extra > 0 ? [{ name: 'source addresses', value: numberText(total), setBy: 'Agent' }] : [];

const settingsFor = (plan: Plan, limit: Limit): readonly Setting[] => {
  if (limit.limit === 'RLIMIT_NOFILE') return descriptorSettings(plan, limit);
  const names = sysctlsThatRaise[limit.limit] ?? [];
  return [...plan.sysctls.filter(({ name }) => names.includes(name)), ...addressSettings(plan, limit)];
};

const descriptorsOf = ({ containers }: Plan, { subject }: Limit): number | undefined =>
  containers.find(({ name }) => name === subject)?.descriptors.hard;

/** Both bound the accept queue; somaxconn is set for the flow that needs the longest. */
const queueOf = ({ inbound }: Demand, { flow, raisable = 0 }: Limit, somaxconn: number): number =>
  Math.min(raisable, (inbound.find(({ name }) => name === flow)?.listenSockets ?? 1) * (somaxconn + 1));

const capacityAfter = (demand: Demand, plan: Plan, limit: Limit): number | undefined => {
  const valueOf = (sysctl: string): number => Number(plan.sysctls.find(({ name }) => name === sysctl)?.value);
  switch (limit.limit) {
    case 'RLIMIT_NOFILE':
      return descriptorsOf(plan, limit);
    case 'AcceptQueue':
      return queueOf(demand, limit, valueOf('net.core.somaxconn'));
    case 'net.ipv4.tcp_max_tw_buckets':
      return valueOf(limit.limit);
    default:
      return limit.raisable;
  }
};

/** What lifts a raised limit and what it is then; undefined: the plan does not raise it. */
export const liftOf = (demand: Demand, plan: Plan, limit: Limit): Lift | undefined => {
  if (limit.status !== 'Raised') return undefined;
  const settings = settingsFor(plan, limit);
  const capacity = capacityAfter(demand, plan, limit);
  return capacity === undefined || settings.length === 0 ? undefined : { settings, capacity };
};
