import type { Demand, NodeFacts } from '../planner/demand.ts';
import type { Sysctl } from '../planner/limit.ts';
import { plan as planFor, type Plan } from '../planner/plan.ts';
import type { ConnectionBudget } from './budget-object.ts';
import type { ConnectionBudgetSpec, OutboundSpec } from './connection-budget.ts';
import { demandFor, type Observed } from './demand.ts';
import { observedPodFor, ownSysctlsOf, type PodManifest, unsafeSysctlsOf } from './observed-pod.ts';
import { longestAnnotation, longestSysctl, type PlanSection } from './pod-annotation.ts';

/** A budget's plan as one pod carries it. Webhook and controller both come here, so that they mean the same. */

const mostTargets = 16;
const mostReservedPorts = 256;
/** `,"signature":"…"`: 64 bytes of Ed25519 in base64 and their key, rounded up. */
const signatureBytes = 128;

const targetsOf = ({ destination }: OutboundSpec, namespace: string): readonly string[] => {
  const { service, addresses } = destination;
  if (service !== undefined) return [`${service.namespace ?? namespace}/${service.name}:${service.port}`];
  return (addresses?.ips ?? []).flatMap((ip) =>
    (addresses?.ports ?? []).map((port) => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)),
  );
};

const flowsFor = ({ inbound, outbound }: ConnectionBudgetSpec, namespace: string): PlanSection['flows'] => [
  ...inbound.map(({ name, port }) => ({ name, direction: 'Inbound' as const, port, targets: [] })),
  ...outbound.map((flow) => ({
    name: flow.name,
    direction: 'Outbound' as const,
    port: 0,
    targets: targetsOf(flow, namespace).slice(0, mostTargets),
  })),
];

const fits = (section: PlanSection): boolean =>
  Buffer.byteLength(JSON.stringify(section)) + signatureBytes <= longestAnnotation;

/** The flows only describe, so they are what gives way where the annotation would be too long. */
const fitting = (section: PlanSection): PlanSection => {
  const withoutTargets = { ...section, flows: section.flows.map((flow) => ({ ...flow, targets: [] })) };
  return [section, withoutTargets].find(fits) ?? { ...section, flows: [] };
};

/** Only a list of ports can be too long to write: those that fit are reserved. */
const writable = (value: string): string =>
  value.length <= longestSysctl ? value : value.slice(0, value.lastIndexOf(',', longestSysctl));

export interface SectionInput {
  readonly budget: ConnectionBudget;
  readonly plan: Plan;
  readonly keyId: string;
  /** What the pod itself decides: the containers that it has, and the sysctls that its user set. Default: all, none. */
  readonly pod?: {
    readonly containerNames: readonly string[];
    readonly ownSysctls: ReadonlyMap<string, string>;
    /** Its connections are the node's: nothing of ours spreads them. */
    readonly hostNetwork: boolean;
  };
}

export const planSectionFor = ({ budget, plan, keyId, pod }: SectionInput): PlanSection => {
  const { name, uid, generation, namespace, spec } = budget;
  const agentSysctls = plan.sysctls.filter(
    (sysctl) => sysctl.setBy === 'Agent' && pod?.ownSysctls.has(sysctl.name) !== true,
  );
  const isSpread = spec.outbound.some(({ portSelection }) => portSelection === 'Spread');
  return fitting({
    version: 1,
    keyId,
    budget: { name, uid, generation },
    containers: plan.containers
      .filter((container) => pod === undefined || pod.containerNames.includes(container.name))
      .map((container) => ({ name: container.name, ...container.descriptors })),
    sysctls: Object.fromEntries(agentSysctls.map((sysctl) => [sysctl.name, writable(sysctl.value)])),
    portRange: plan.portRange,
    reservedPorts: plan.reservedPorts.slice(0, mostReservedPorts),
    sourceAddresses: {
      provider: spec.sourceAddresses.provider,
      extra: plan.sourceAddresses.extra,
      spread: spec.sourceAddresses.spread,
      ...(isSpread && pod?.hostNetwork !== true ? { ports: 'Spread' as const } : {}),
    },
    flows: flowsFor(spec, namespace),
  });
};

/** What a pod carries is planned for any node: its agent gives the best that its own node can set, and says so. */
export const appliedPlanFor = (demand: Demand): Plan => planFor(demand, {});

export interface PodPlanInput {
  readonly budget: ConnectionBudget;
  readonly pod: PodManifest;
  readonly namespaceLabels: Readonly<Record<string, string>>;
  /** Its own `pod` is replaced by what this pod is. */
  readonly observed: Observed;
  readonly node?: NodeFacts | undefined;
  readonly keyId: string;
}

export interface PodPlan {
  /** Judged by the node's facts: what is feasible. */
  readonly plan: Plan;
  readonly section: PlanSection;
  /** What belongs into the pod's security context. */
  readonly kubeletSysctls: readonly Sysctl[];
  /** Planned sysctls that the user set lower by hand; they are kept. */
  readonly shortfalls: readonly { readonly sysctl: Sysctl; readonly own: string }[];
  /** Set by the user, and refused by kubelets that do not allow them. */
  readonly unsafeSysctls: readonly string[];
  /** Containers of the budget that the pod does not have. */
  readonly missingContainers: readonly string[];
}

export const podPlanFor = ({ budget, pod, namespaceLabels, observed, node, keyId }: PodPlanInput): PodPlan => {
  const observedPod = observedPodFor(pod, namespaceLabels);
  const ownSysctls = ownSysctlsOf(pod);
  const demand = demandFor(budget.spec, { ...observed, pod: observedPod });
  const plan = appliedPlanFor(demand);
  const { containerNames, hostNetwork } = observedPod;
  return {
    plan: planFor(demand, node),
    section: planSectionFor({ budget, plan, keyId, pod: { containerNames, ownSysctls, hostNetwork } }),
    kubeletSysctls: plan.sysctls
      .filter(({ setBy, name }) => setBy === 'Kubelet' && !ownSysctls.has(name))
      .map((sysctl) => ({ ...sysctl, value: writable(sysctl.value) })),
    shortfalls: plan.sysctls.flatMap((sysctl) => {
      const own = ownSysctls.get(sysctl.name);
      return own === undefined || suffices(sysctl, own) ? [] : [{ sysctl, own }];
    }),
    unsafeSysctls: unsafeSysctlsOf(pod),
    missingContainers: (budget.spec.containers ?? [])
      .map(({ name }) => name)
      .filter((name) => !containerNames.includes(name)),
  };
};

/** A list of ports must hold all planned ones, a time must not be longer, every other number not smaller. */
const suffices = ({ name, value }: Sysctl, own: string): boolean => {
  if (name.endsWith('_ports')) return value.split(',').every((port) => listsPort(own, Number(port)));
  return name.endsWith('_time') ? Number(own) <= Number(value) : Number(own) >= Number(value);
};

/** "1883,8000-8100" lists 8080. */
const listsPort = (list: string, port: number): boolean =>
  list.split(',').some((entry) => {
    const [low = '', high = low] = entry.split('-');
    return Number(low) <= port && port <= Number(high);
  });
