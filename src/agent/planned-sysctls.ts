import type { PlanSection } from '../api/pod-annotation.ts';
import { type Finding, sysctlFinding } from './finding.ts';

/**
 * What the planner can leave to the agent, and what belongs to it: all of a pod's network namespace alone, so that no
 * value reaches another pod (ip-sysctl.rst, "per network namespace").
 */
export const agentSysctls = [
  'net.core.somaxconn',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_max_syn_backlog',
  'net.ipv4.tcp_max_tw_buckets',
  'net.ipv4.tcp_tw_reuse',
] as const;

const portRange = 'net.ipv4.ip_local_port_range';

export interface PlannedSysctl {
  readonly name: string;
  readonly value: string;
  /** Kubelet: set by the pod's own spec, and only looked at here. */
  readonly setBy: 'Agent' | 'Kubelet';
}

export interface SysctlPlan {
  readonly sysctls: readonly PlannedSysctl[];
  /** What the section asks for, and the agent does not set. */
  readonly findings: readonly Finding[];
}

/** Everything that a pod's namespace shall have; nothing for a pod on its node's own network (`hasOwnNetwork` false). */
export function plannedSysctls(
  section: PlanSection,
  { allowed, hasOwnNetwork }: { readonly allowed: ReadonlySet<string>; readonly hasOwnNetwork: boolean },
): SysctlPlan {
  const asked = Object.entries(section.sysctls).map(([name, value]) => ({ name, value, setBy: 'Agent' as const }));
  if (!hasOwnNetwork) {
    const why = "the pod is on its node's network, which the agent does not change";
    return { sysctls: [], findings: asked.map(({ name, value }) => sysctlFinding(name, value, why)) };
  }
  const findings = asked
    .filter(({ name }) => !allowed.has(name))
    .map(({ name, value }) => sysctlFinding(name, value, 'not among the sysctls that the agent may set'));
  return { sysctls: [...asked.filter(({ name }) => allowed.has(name)), ...rangeOfKubelet(section)], findings };
}

/** The range matters to who opens connections, and is the agent's only where the section says so. */
function rangeOfKubelet({ sysctls, portRange: range, flows }: PlanSection): readonly PlannedSysctl[] {
  const isOurs = Object.hasOwn(sysctls, portRange);
  const opens = flows.some(({ direction }) => direction === 'Outbound');
  if (isOurs || !opens) return [];
  return [{ name: portRange, value: `${range.low} ${range.high}`, setBy: 'Kubelet' }];
}
