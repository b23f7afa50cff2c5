import type { OutboundFlow } from './demand.ts';
import type { Terms } from './limit.ts';
import { type Load, sumOf } from './load.ts';

/** How flows share destinations: the busiest target of one, and what several have of a target that they meet at. */

type Share = Pick<Terms, 'numerator' | 'denominator'>;

const shareOf = (percent: number | undefined, parts: number): Share =>
  (percent ?? 0) * parts > 100 ? { numerator: percent ?? 0, denominator: 100 } : { numerator: 1, denominator: parts };

/** The share of the busiest target: even, or what is declared where that is more. */
export const busiestShare = ({ destinationAddresses, destinationPorts, largestSharePercent }: OutboundFlow): Share =>
  shareOf(largestSharePercent, destinationAddresses * destinationPorts);

/** The share of the busiest address at the far end, which may be behind a ClusterIP. */
export const busiestAddressShare = ({ farEndAddresses, largestSharePercent }: OutboundFlow): Share =>
  shareOf(largestSharePercent, farEndAddresses);

/** The flows that have a key in common, a group for each set of two or more. */
export const groupsThatMeet = (
  loads: readonly Load<OutboundFlow>[],
  keysOf: (load: Load<OutboundFlow>) => readonly string[],
): readonly (readonly Load<OutboundFlow>[])[] => {
  if (loads.length < 2) return [];
  const byKey = new Map<string, Load<OutboundFlow>[]>();
  for (const load of loads) {
    for (const key of new Set(keysOf(load))) byKey.set(key, [...(byKey.get(key) ?? []), load]);
  }
  const groups = new Map([...byKey.values()].map((group) => [group.map(({ index }) => index).join(), group]));
  return [...groups.values()].filter((group) => group.length > 1);
};

/**
 * The terms of flows that meet: together they have numerator ÷ denominator of their connections at the target, and the
 * rate is scaled so that the same share of it is what closes there. `closing` are those whose closed connections linger.
 */
export const meetingTerms = (
  group: readonly Load<OutboundFlow>[],
  closing: readonly Load<OutboundFlow>[],
  share: (flow: OutboundFlow) => Share = busiestShare,
): Pick<Terms, 'connections' | 'declared' | 'rate' | 'declaredRate' | 'numerator' | 'denominator'> => {
  const at = (flow: OutboundFlow, amount: number): number => (amount * share(flow).numerator) / share(flow).denominator;
  const connections = sumOf(group, (load) => load.connections);
  const busiest = sumOf(group, ({ flow, connections: own }) => Math.ceil(at(flow, own)));
  const scale = connections / Math.max(1, busiest);
  return {
    connections,
    declared: sumOf(group, ({ flow }) => flow.connections),
    rate: sumOf(closing, ({ flow, closesPerSecond }) => at(flow, closesPerSecond)) * scale,
    declaredRate: sumOf(closing, ({ flow }) => at(flow, flow.closesPerSecond)) * scale,
    numerator: busiest,
    denominator: connections,
  };
};
