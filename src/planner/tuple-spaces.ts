import type { AddressDemand, InboundFlow, IpFamily, NodeFacts, OutboundFlow } from './demand.ts';
import { fastShareFor } from './kernel.ts';
import { noTerms, type Terms } from './limit.ts';
import { type Load, type Loads, termsFor } from './load.ts';
import { busiestShare, groupsThatMeet, meetingTerms } from './sharing.ts';

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
  /** Extra addresses of the pod multiply the space: something binds to them. */
  readonly multipliedByAddresses: boolean;
  /** A translator follows, whose tuples they do not multiply: they are worth what it lets through, and no speed. */
  readonly isTranslated: boolean;
  /** Of the targets; none: not known. */
  readonly families: readonly IpFamily[];
  readonly concerns: readonly number[];
}

export interface SpaceContext {
  readonly node: NodeFacts;
  /** How long TIME_WAIT holds a tuple here. */
  readonly seconds: number;
  /** Reuse does nothing for bind(address, 0) (measured). */
  readonly earlySeconds: number;
  readonly spread: AddressDemand['spread'];
  /** In the network of the node nothing of ours picks a port. */
  readonly hostNetwork: boolean;
}

/** A sidecar opens a second connection to the same destination from the same namespace: twice the tuples. */
const tuplesPerConnection = (load: Load): number => (load.sockets > 1 ? 2 : 1);

const closedByPod = ({ flow }: Load): boolean => flow.closedBy === 'Pod';

export const hasSidecar = ({ path }: OutboundFlow): boolean => path.some(({ type }) => type === 'Sidecar');

export const isTranslated = ({ path }: OutboundFlow): boolean =>
  path.some(({ type, portsPerAddress }) => type !== 'Sidecar' && portsPerAddress !== undefined);

/**
 * 8 addresses and sockets that nobody binds: all connections from the primary (measured). Late: our spreader binds them, or
 * the program. A socket that the program binds itself is left alone by ours; a sidecar knows no addresses.
 */
export const isBoundToAddresses = (flow: OutboundFlow, spread: AddressDemand['spread']): boolean =>
  !hasSidecar(flow) && (flow.binding === 'Late' || spread === 'Application');

const picksPort = ({ portSelection }: OutboundFlow, { hostNetwork }: SpaceContext): OutboundFlow['portSelection'] =>
  portSelection === 'Spread' && hostNetwork ? 'Kernel' : portSelection;

const familiesIn = (group: readonly Load<OutboundFlow>[]): readonly IpFamily[] => [
  ...new Set(group.flatMap(({ flow }) => flow.families)),
];

const kindOf = ({ flow }: Load<OutboundFlow>): 'Late' | 'Explicit' =>
  flow.binding === 'Explicit' ? 'Explicit' : 'Late';

const spaceOf = (group: readonly Load<OutboundFlow>[], context: SpaceContext): TupleSpace => {
  const { seconds, spread } = context;
  const [first] = group;
  const alone = group.length === 1 && first !== undefined;
  const tuples = Math.max(...group.map(tuplesPerConnection));
  const closing = group.filter(closedByPod);
  const share = alone ? { ...termsFor(group), ...busiestShare(first.flow) } : meetingTerms(group, closing);
  const rates = alone ? termsFor(closing) : share;
  return {
    stage: 'Socket',
    flow: alone ? first.flow.name : '',
    kind: group.every((load) => kindOf(load) === 'Explicit') ? 'Explicit' : 'Late',
    terms: {
      ...noTerms,
      ...share,
      rate: rates.rate,
      declaredRate: rates.declaredRate,
      seconds: seconds * tuples,
      factor: tuples,
    },
    fastShare: Math.min(
      ...group.map(({ flow }) =>
        flow.binding === 'Explicit' ? 1 : fastShareFor(picksPort(flow, context), context.node),
      ),
    ),
    multipliedByAddresses: group.every(({ flow }) => isBoundToAddresses(flow, spread)),
    isTranslated: group.some(({ flow }) => isTranslated(flow)),
    families: familiesIn(group),
    concerns: group.map(({ index }) => index),
  };
};

/** bind(address, 0) takes a port of its address for every destination at once: all early flows share the range. */
const earlySpace = (
  loads: readonly Load<OutboundFlow>[],
  { earlySeconds, spread }: SpaceContext,
  families: readonly IpFamily[],
): TupleSpace => {
  const { connections, declared } = termsFor(loads);
  const { rate, declaredRate } = termsFor(loads.filter(closedByPod));
  return {
    stage: 'Socket',
    flow: loads.length === 1 ? (loads[0]?.flow.name ?? '') : '',
    kind: 'Early',
    terms: { ...noTerms, connections, declared, rate, declaredRate, seconds: earlySeconds },
    fastShare: 1,
    multipliedByAddresses: loads.every(({ flow }) => isBoundToAddresses(flow, spread)),
    isTranslated: loads.some(({ flow }) => isTranslated(flow)),
    families,
    concerns: loads.map((load) => load.index),
  };
};

/** An address of one family shares no port with one of the other; a flow whose family nobody knows may need both. */
const earlySpaces = (loads: readonly Load<OutboundFlow>[], context: SpaceContext): readonly TupleSpace[] => {
  const families = familiesIn(loads);
  if (loads.length === 0) return [];
  if (families.length < 2) return [earlySpace(loads, context, families)];
  return families.map((family) => {
    const own = loads.filter(({ flow }) => flow.families.length === 0 || flow.families.includes(family));
    return earlySpace(own, context, [family]);
  });
};

/** A sidecar dials the program from one loopback address (Istio: 127.0.0.6) with the pod's own port range. */
const sidecarSpace = (load: Load<InboundFlow>, addresses: number, node: NodeFacts): TupleSpace => ({
  stage: 'Sidecar',
  flow: load.flow.name,
  kind: 'Late',
  terms: { ...noTerms, connections: load.connections, declared: load.flow.connections, denominator: addresses },
  fastShare: fastShareFor('Kernel', node),
  multipliedByAddresses: false,
  isTranslated: false,
  families: [],
  concerns: [load.index],
});

export const tupleSpacesFor = (loads: Loads, context: SpaceContext): readonly TupleSpace[] => {
  const early = loads.outbound.filter((load) => load.flow.binding === 'Early');
  const others = loads.outbound.filter((load) => load.flow.binding !== 'Early');
  const meeting = ['Late', 'Explicit'].flatMap((kind) =>
    groupsThatMeet(
      others.filter((load) => kindOf(load) === kind),
      ({ flow }) => flow.targets,
    ),
  );
  return [
    ...others.map((load) => spaceOf([load], context)),
    ...meeting.map((group) => spaceOf(group, context)),
    ...earlySpaces(early, context),
    ...loads.inbound.flatMap((load) =>
      load.flow.path
        .filter(({ type, portsPerAddress }) => type === 'Sidecar' && portsPerAddress === undefined)
        .map(({ addresses }) => sidecarSpace(load, addresses, context.node)),
    ),
  ];
};
