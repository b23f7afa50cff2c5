import type { InboundFlow, NodeFacts, OutboundFlow } from './demand.ts';
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
  /** Extra addresses of the pod multiply the space; behind a translator they do not. */
  readonly multipliedByAddresses: boolean;
  readonly concerns: readonly number[];
}

/** How long TIME_WAIT holds a tuple here; reuse does nothing for bind(address, 0) (measured). */
export interface TimeWait {
  readonly seconds: number;
  readonly earlySeconds: number;
}

/** A sidecar opens a second connection to the same destination from the same namespace: twice the tuples. */
const tuplesPerConnection = (load: Load): number => (load.sockets > 1 ? 2 : 1);

const closedByPod = ({ flow }: Load): boolean => flow.closedBy === 'Pod';

const kindOf = ({ flow }: Load<OutboundFlow>): 'Late' | 'Explicit' =>
  flow.binding === 'Explicit' ? 'Explicit' : 'Late';

const spaceOf = (group: readonly Load<OutboundFlow>[], seconds: number, node: NodeFacts): TupleSpace => {
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
      ...group.map(({ flow }) => (flow.binding === 'Explicit' ? 1 : fastShareFor(flow.portSelection, node))),
    ),
    multipliedByAddresses: group.every(({ flow }) => flow.path.length === 0),
    concerns: group.map(({ index }) => index),
  };
};

/** bind(address, 0) takes a port for every destination at once: all early flows share the range. */
const earlySpace = (loads: readonly Load<OutboundFlow>[], seconds: number): TupleSpace => {
  const { connections, declared } = termsFor(loads);
  const { rate, declaredRate } = termsFor(loads.filter(closedByPod));
  return {
    stage: 'Socket',
    flow: loads.length === 1 ? (loads[0]?.flow.name ?? '') : '',
    kind: 'Early',
    terms: { ...noTerms, connections, declared, rate, declaredRate, seconds },
    fastShare: 1,
    multipliedByAddresses: true,
    concerns: loads.map((load) => load.index),
  };
};

/** A sidecar dials the program from one loopback address (Istio: 127.0.0.6) with the pod's own port range. */
const sidecarSpace = (load: Load<InboundFlow>, addresses: number, node: NodeFacts): TupleSpace => ({
  stage: 'Sidecar',
  flow: load.flow.name,
  kind: 'Late',
  terms: { ...noTerms, connections: load.connections, declared: load.flow.connections, denominator: addresses },
  fastShare: fastShareFor('Kernel', node),
  multipliedByAddresses: false,
  concerns: [load.index],
});

export const tupleSpacesFor = (
  loads: Loads,
  { seconds, earlySeconds }: TimeWait,
  node: NodeFacts,
): readonly TupleSpace[] => {
  const early = loads.outbound.filter((load) => load.flow.binding === 'Early');
  const others = loads.outbound.filter((load) => load.flow.binding !== 'Early');
  const meeting = ['Late', 'Explicit'].flatMap((kind) =>
    groupsThatMeet(
      others.filter((load) => kindOf(load) === kind),
      ({ flow }) => flow.targets,
    ),
  );
  return [
    ...others.map((load) => spaceOf([load], seconds, node)),
    ...meeting.map((group) => spaceOf(group, seconds, node)),
    ...(early.length > 0 ? [earlySpace(early, earlySeconds)] : []),
    ...loads.inbound.flatMap((load) =>
      load.flow.path
        .filter(({ type, portsPerAddress }) => type === 'Sidecar' && portsPerAddress === undefined)
        .map(({ addresses }) => sidecarSpace(load, addresses, node)),
    ),
  ];
};
