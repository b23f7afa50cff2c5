import type { Assumption, Demand, IpFamily, OutboundFlow } from './demand.ts';
import type { Limit } from './limit.ts';
import type { Load, Loads } from './load.ts';
import { hasSidecar, isBoundToAddresses, isTranslated, type TupleSpace } from './tuple-spaces.ts';

/** Extra source addresses: how many there may be, where they multiply tuples, and what to say of it. */

/** Source addresses in use with so many extra ones: where the pod's own is on another link, the extra ones alone. */
const inUse = ({ extraAddresses: { ownCounts } }: Demand, extra: number): number =>
  ownCounts ? 1 + extra : Math.max(1, extra);

export const mostAddresses = (demand: Demand): number =>
  demand.pod.hostNetwork ? 1 : inUse(demand, demand.extraAddresses.maximumExtra);

/** The extra addresses behind so many in use: one that would only replace the pod's own is none. */
export const extraFor = ({ extraAddresses: { ownCounts } }: Demand, addresses: number): number =>
  ownCounts || addresses === 1 ? addresses - 1 : addresses;

/** What the translators on the way of a space's flows let through at most, in connections. */
export const letThrough = ({ concerns }: TupleSpace, translators: readonly Limit[], loads: Loads): number => {
  const binding = translators.filter(({ status }) => status === 'Binding');
  const together = binding.filter((limit) => concerns.every((flow) => limit.concerns?.includes(flow) === true));
  const each = concerns.map((flow) => {
    const own = binding.filter((limit) => limit.concerns?.length === 1 && limit.concerns[0] === flow);
    return Math.min(loads.all[flow]?.connections ?? 0, ...own.map(({ reachable }) => reachable));
  });
  const sum = each.reduce((total, connections) => total + connections, 0);
  return Math.min(sum, ...together.map(({ reachable }) => reachable));
};

/** Flows for which extra addresses were asked for and do nothing, with the reason. */
const ofNoUse = (demand: Demand, loads: Loads, translators: readonly Limit[]): readonly Assumption[] =>
  loads.outbound.flatMap(({ flow, index }): readonly Assumption[] => {
    if (hasSidecar(flow)) return [{ kind: 'AddressesBehindSidecar', subject: flow.name, value: 0 }];
    if (!isBoundToAddresses(flow, demand.extraAddresses.spread))
      return [{ kind: 'AddressesNotBound', subject: flow.name, value: 0 }];
    const binding = translators.find(({ status, concerns }) => status === 'Binding' && concerns?.includes(index));
    return isTranslated(flow) && binding !== undefined
      ? [{ kind: 'AddressesBehindTranslator', subject: flow.name, value: binding.reachable }]
      : [];
  });

/** Which families have known targets; a flow to a Service may have any. */
const familiesOf = (loads: readonly Load<OutboundFlow>[]): readonly IpFamily[] =>
  (['IPv4', 'IPv6'] as const).filter((family) => loads.some(({ flow }) => flow.families.includes(family)));

interface ChosenAddresses {
  readonly addresses: number;
  readonly spaces: readonly TupleSpace[];
  /** As many as the flows to targets of one family need. */
  readonly neededBy: (family: IpFamily) => number;
}

const perFamily = (demand: Demand, loads: Loads, { neededBy }: ChosenAddresses): readonly Assumption[] => {
  const families = familiesOf(loads.outbound);
  if (!families.includes('IPv6')) return [];
  return families.map((family) => ({
    kind: 'AddressesOfFamily',
    subject: family,
    value: extraFor(demand, neededBy(family)),
  }));
};

const fills = ({ spaces }: ChosenAddresses): readonly Assumption[] =>
  spaces
    .filter((space) => space.multipliedByAddresses && !space.isTranslated && space.fastShare < 1)
    .map(({ flow, fastShare }) => ({ kind: 'AddressFill', subject: flow, value: Math.round(fastShare * 100) }));

/** What a plan with extra addresses rests on; and where they were asked for in vain, why. */
export const addressAssumptions = (
  demand: Demand,
  loads: Loads,
  { translators, chosen }: { readonly translators: readonly Limit[]; readonly chosen: ChosenAddresses },
): readonly Assumption[] => {
  const areExtra = chosen.addresses > 1;
  const isSpread = loads.outbound.some(({ flow }) => flow.portSelection === 'Spread');
  const byAgent = isSpread || (areExtra && demand.extraAddresses.spread === 'Transparent');
  return [
    ...(byAgent ? [{ kind: 'SpreadByAgent', subject: '', value: 0 } as const] : []),
    ...(areExtra ? [...fills(chosen), ...perFamily(demand, loads, chosen)] : []),
    ...(demand.extraAddresses.maximumExtra > 0 ? ofNoUse(demand, loads, translators) : []),
  ];
};
