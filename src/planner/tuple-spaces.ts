import type { InboundFlow, OutboundFlow } from './demand.ts';
import { fastShareOfRange } from './kernel.ts';
import { neededFor, noTerms, type Terms } from './limit.ts';
import { type Load, type Loads, sumOf, termsFor } from './load.ts';

/**
 * Source ports: the tuples (source address, port) that the kernel hands out to one destination. Late binding has the whole
 * range per destination, early binding has it once for all, explicit ports have all 65,535 of an address.
 */
export interface TupleSpace {
  readonly stage: 'Socket' | 'Sidecar';
  readonly flow: string;
  readonly kind: 'Late' | 'Early' | 'Explicit';
  readonly terms: Terms;
  /** The share of the range that is planned for: past half of it the kernel's own choice is slow. */
  readonly fastShare: number;
  /** Extra addresses of the pod multiply the space; behind a translator they do not. */
  readonly multipliedByAddresses: boolean;
  readonly concerns: readonly number[];
}

/** The share of the busiest target: even, or what is declared where that is more. */
export const busiestShare = (flow: OutboundFlow): Pick<Terms, 'numerator' | 'denominator'> => {
  const targets = flow.destinationAddresses * flow.destinationPorts;
  const percent = flow.largestSharePercent ?? 0;
  return percent * targets > 100 ? { numerator: percent, denominator: 100 } : { numerator: 1, denominator: targets };
};

/** What of the flows lingers in TIME_WAIT here: only what the pod closes first. */
const lingering = (loads: readonly Load[], seconds: number): Pick<Terms, 'seconds' | 'rate' | 'declaredRate'> => {
  const { rate, declaredRate } = termsFor(loads.filter((load) => load.flow.closedBy === 'Pod'));
  return { rate, declaredRate, seconds };
};

/** A sidecar opens a second connection to the same destination from the same namespace: twice the tuples. */
const outboundSpace = (load: Load<OutboundFlow>, seconds: number): TupleSpace => {
  const { flow } = load;
  const doubled = load.sockets > 1 ? 2 : 1;
  const own = { connections: load.connections, declared: flow.connections, ...lingering([load], seconds * doubled) };
  return {
    stage: 'Socket',
    flow: flow.name,
    kind: flow.binding === 'Explicit' ? 'Explicit' : 'Late',
    terms: { ...noTerms, ...own, ...busiestShare(flow), factor: doubled },
    fastShare: flow.binding === 'Explicit' ? 1 : fastShareOfRange[flow.portSelection],
    multipliedByAddresses: flow.path.length === 0,
    concerns: [load.index],
  };
};

/**
 * Late flows to one target share its tuples: 20,000 and 20,000 to one address and port need 40,000 ports. Each group of
 * flows that meet at a target is a space of its own, with the share that all of them have of it.
 */
const meetingSpaces = (loads: readonly Load<OutboundFlow>[], seconds: number): readonly TupleSpace[] => {
  const byTarget = new Map<string, Load<OutboundFlow>[]>();
  for (const load of loads) {
    if (load.flow.binding === 'Explicit') continue;
    for (const target of load.flow.targets) byTarget.set(target, [...(byTarget.get(target) ?? []), load]);
  }
  const groups = new Map([...byTarget.values()].map((group) => [group.map(({ index }) => index).join(), group]));
  return [...groups.values()].filter((group) => group.length > 1).map((group) => meetingSpace(group, seconds));
};

const meetingSpace = (group: readonly Load<OutboundFlow>[], seconds: number): TupleSpace => {
  const spaces = group.map((load) => outboundSpace(load, seconds));
  const busiest = sumOf(spaces, ({ terms }) => neededFor({ ...terms, rate: 0 }));
  const { connections, declared } = termsFor(group);
  return {
    stage: 'Socket',
    flow: '',
    kind: 'Late',
    terms: {
      ...noTerms,
      connections,
      declared,
      ...lingering(group, seconds),
      numerator: busiest,
      denominator: connections,
    },
    fastShare: Math.min(...spaces.map(({ fastShare }) => fastShare)),
    multipliedByAddresses: group.every(({ flow }) => flow.path.length === 0),
    concerns: group.map(({ index }) => index),
  };
};

/** bind(address, 0) takes a port for every destination at once: all early flows share the range. */
const earlySpace = (loads: readonly Load<OutboundFlow>[], seconds: number): TupleSpace => {
  const { connections, declared } = termsFor(loads);
  return {
    stage: 'Socket',
    flow: loads.length === 1 ? (loads[0]?.flow.name ?? '') : '',
    kind: 'Early',
    terms: { ...noTerms, connections, declared, ...lingering(loads, seconds) },
    fastShare: 1,
    multipliedByAddresses: true,
    concerns: loads.map((load) => load.index),
  };
};

/** A sidecar dials the program from one loopback address (Istio: 127.0.0.6) with the pod's own port range. */
const sidecarSpace = (load: Load<InboundFlow>, addresses: number): TupleSpace => ({
  stage: 'Sidecar',
  flow: load.flow.name,
  kind: 'Late',
  terms: { ...noTerms, connections: load.connections, declared: load.flow.connections, denominator: addresses },
  fastShare: fastShareOfRange.Kernel,
  multipliedByAddresses: false,
  concerns: [load.index],
});

export const tupleSpacesFor = (loads: Loads, seconds: number): readonly TupleSpace[] => {
  const early = loads.outbound.filter((load) => load.flow.binding === 'Early');
  const others = loads.outbound.filter((load) => load.flow.binding !== 'Early');
  return [
    ...others.map((load) => outboundSpace(load, seconds)),
    ...(others.length > 1 ? meetingSpaces(others, seconds) : []),
    ...(early.length > 0 ? [earlySpace(early, seconds)] : []),
    ...loads.inbound.flatMap((load) =>
      load.flow.path
        .filter(({ type, portsPerAddress }) => type === 'Sidecar' && portsPerAddress === undefined)
        .map(({ addresses }) => sidecarSpace(load, addresses)),
    ),
  ];
};
