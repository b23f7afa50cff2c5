import type { Assumption, Demand, IpFamily, NodeFacts, PortRange } from './demand.ts';
import {
  defaultPortRange,
  portsOfAnAddress,
  reusedTimeWaitSeconds,
  timeWaitSeconds,
  widerPortRanges,
} from './kernel.ts';
import { type Limit, limitFor, neededFor, type StageOutcome, type Sysctl } from './limit.ts';
import type { Loads } from './load.ts';
import { addressAssumptions, letThrough, mostAddresses } from './source-addresses.ts';
import { ports, type Ports } from './quantities.ts';
import { type TupleSpace, tupleSpacesFor } from './tuple-spaces.ts';

export interface PortPlan extends StageOutcome {
  readonly range: PortRange;
  readonly reserved: readonly number[];
  /** Source addresses in all, the pod's own included. */
  readonly addresses: number;
  /** Ports × addresses: the distinct source tuples that the pod can have. */
  readonly sourceTuples: Ports;
}

/** Ports of a range without the reserved ones; of an odd number the kernel may miss one, not the same each time (measured). */
export const portsIn = ({ low, high }: PortRange, reserved: readonly number[]): Ports => {
  const all = high - low + 1;
  const taken = reserved.filter((port) => port >= low && port <= high).length;
  return ports(Math.max(0, all - (all > 1 ? all % 2 : 0) - taken));
};

/** One choice of range and addresses, and what it gives each space. */
interface Choice {
  readonly range: PortRange;
  readonly addresses: number;
}

const capacityOf = (
  space: TupleSpace,
  choice: Choice,
  context: { readonly reserved: readonly number[]; readonly early: number },
): number => {
  const addresses = space.multipliedByAddresses ? choice.addresses : 1;
  if (space.kind === 'Explicit') return portsOfAnAddress * addresses;
  const inRange = portsIn(choice.range, context.reserved);
  // A port that is bound to one local address is none for connect() from another either (measured).
  const taken = space.kind === 'Early' ? 0 : context.early;
  return Math.max(0, inRange - taken) * addresses;
};

interface Search {
  readonly spaces: readonly TupleSpace[];
  readonly reserved: readonly number[];
  /** Ports that early binding takes away from everybody else. */
  readonly early: number;
  readonly maximumAddresses: number;
  /** The translators on the flows' ways. */
  readonly translators: readonly Limit[];
  readonly loads: Loads;
  readonly ranges: readonly PortRange[];
}

const holds = (search: Search, choice: Choice, fast: boolean): boolean =>
  search.spaces.every(
    (space) => neededFor(space.terms) <= capacityOf(space, choice, search) * (fast ? space.fastShare : 1),
  );

/**
 * As few addresses as hold, below the cliff, what they can lift; all that are allowed where that is not enough. What a
 * translator does not let through is nothing that they lift, and before one they are worth tuples, not speed.
 */
const addressesFor = (search: Search, range: PortRange, spaces: readonly TupleSpace[]): number => {
  const lifted = spaces
    .filter((space) => space.multipliedByAddresses)
    .map((space) => {
      const connections = Math.min(space.terms.connections, letThrough(space, search.translators, search.loads));
      return { ...space, terms: { ...space.terms, connections }, fastShare: space.isTranslated ? 1 : space.fastShare };
    });
  for (let addresses = 1; addresses < search.maximumAddresses; addresses += 1) {
    if (holds({ ...search, spaces: lifted }, { range, addresses }, true)) return addresses;
  }
  return lifted.length === 0 ? 1 : search.maximumAddresses;
};

/**
 * The narrowest range that holds every space with one address, then the addresses. The range is widened for need, not for
 * speed: below it may be listeners that nobody declared. Explicit ports come from no range.
 */
const choose = (search: Search): Choice => {
  const ranged = { ...search, spaces: search.spaces.filter(({ kind }) => kind !== 'Explicit') };
  const fits = search.ranges.find((range) => holds(ranged, { range, addresses: 1 }, false));
  const range = fits ?? search.ranges.at(-1) ?? defaultPortRange;
  return { range, addresses: addressesFor(search, range, search.spaces) };
};

interface Surveyed {
  readonly demand: Demand;
  readonly loads: Loads;
  readonly node: NodeFacts;
  readonly translators: readonly Limit[];
}

const searchFor = ({ demand, loads, node, translators }: Surveyed, seconds: number): Search => {
  const { spread } = demand.extraAddresses;
  const { hostNetwork } = demand.pod;
  const spaces = tupleSpacesFor(loads, { seconds, earlySeconds: timeWaitSeconds, node, spread, hostNetwork });
  const own = demand.pod.portRange;
  const start = own ?? defaultPortRange;
  return {
    spaces,
    reserved: demand.pod.declaredPorts,
    early: spaces.filter(({ kind }) => kind === 'Early').reduce((sum, { terms }) => sum + neededFor(terms), 0),
    maximumAddresses: mostAddresses(demand),
    translators,
    loads,
    ranges: demand.pod.hostNetwork || own !== undefined ? [start] : [start, ...widerPortRanges],
  };
};

const spaceLimit = (space: TupleSpace, search: Search, choice: Choice & { readonly reuses: boolean }): Limit => {
  const before = { range: search.ranges[0] ?? defaultPortRange, addresses: 1 };
  return limitFor({
    stage: space.stage,
    limit: space.kind === 'Explicit' ? 'SourcePorts' : 'net.ipv4.ip_local_port_range',
    scope: 'Pod',
    flow: space.flow,
    unit: 'ports',
    terms: space.terms,
    capacity: capacityOf(space, before, search),
    raisable: capacityOf(space, choice, search),
    isSet: choice.reuses && space.kind !== 'Early' && space.terms.rate > 0,
    concerns: space.concerns,
  });
};

const portSysctls = (demand: Demand, search: Search, { range }: Choice): readonly Sysctl[] => {
  if (demand.pod.hostNetwork || search.spaces.length === 0) return [];
  const sysctls: Sysctl[] = [];
  if (range !== search.ranges[0]) {
    sysctls.push({ name: 'net.ipv4.ip_local_port_range', value: `${range.low} ${range.high}`, setBy: 'Kubelet' });
  }
  const reserved = search.reserved.filter((port) => port >= range.low && port <= range.high);
  if (reserved.length > 0) {
    const setBy = demand.pod.kubeletReservesPorts ? 'Kubelet' : 'Agent';
    sysctls.push({ name: 'net.ipv4.ip_local_reserved_ports', value: reserved.join(','), setBy });
  }
  return sysctls;
};

const cliffs = (search: Search, choice: Choice): readonly Assumption[] =>
  search.spaces.flatMap((space) => {
    const fast = Math.floor(capacityOf(space, choice, search) * space.fastShare);
    const isPast = space.fastShare < 1 && neededFor(space.terms) > fast;
    return isPast ? [{ kind: 'KernelPortCliff', subject: space.flow, value: fast }] : [];
  });

const explicitPorts = ({ outbound }: Loads): readonly Assumption[] => {
  const explicit = outbound.find(({ flow }) => flow.binding === 'Explicit');
  const mixed = explicit !== undefined && outbound.some(({ flow }) => flow.binding !== 'Explicit');
  return mixed ? [{ kind: 'ExplicitPorts', subject: explicit.flow.name, value: 0 }] : [];
};

const portRangeOption = ({ outbound }: Loads, { kernelRelease }: NodeFacts): readonly Assumption[] =>
  outbound
    .filter(({ flow }) => flow.portSelection === 'Program' && kernelRelease === undefined)
    .map(({ flow }) => ({ kind: 'PortRangeOption', subject: flow.name, value: 0 }));

/**
 * Chooses range, addresses and, only where TIME_WAIT would not fit otherwise, tcp_tw_reuse. One source address to one
 * destination, 34,210 needed: the default 28,232 is too few, 10240 to 65535 has 55,296.
 */
export const planPorts = (demand: Demand, loads: Loads, around: Pick<Surveyed, 'node' | 'translators'>): PortPlan => {
  const { node, translators } = around;
  const surveyed = { demand, loads, ...around };
  const plain = searchFor(surveyed, timeWaitSeconds);
  const reuseHelps = plain.spaces.some(({ kind, terms }) => kind !== 'Early' && terms.rate > 0);
  const plainChoice = choose(plain);
  const reuses = reuseHelps && !demand.pod.hostNetwork && !holds(plain, plainChoice, false);
  const seconds = reusedTimeWaitSeconds(node);
  const search = reuses ? searchFor(surveyed, seconds) : plain;
  const choice = reuses ? choose(search) : plainChoice;
  const reuse: readonly Sysctl[] = reuses ? [{ name: 'net.ipv4.tcp_tw_reuse', value: '1', setBy: 'Agent' }] : [];
  const { spaces } = search;
  const neededBy = (family: IpFamily): number =>
    addressesFor(
      search,
      choice.range,
      spaces.filter(({ families }) => families.length === 0 || families.includes(family)),
    );
  return {
    range: choice.range,
    reserved: search.reserved,
    addresses: choice.addresses,
    sourceTuples: ports(portsIn(choice.range, search.reserved) * choice.addresses),
    limits: spaces.map((space) => spaceLimit(space, search, { ...choice, reuses })),
    sysctls: [...portSysctls(demand, search, choice), ...reuse],
    assumptions: [
      ...cliffs(search, choice),
      ...explicitPorts(loads),
      ...portRangeOption(loads, node),
      ...(reuses ? [{ kind: 'TimestampsBothEnds', subject: '', value: seconds } as const] : []),
      ...addressAssumptions(demand, loads, { translators, chosen: { addresses: choice.addresses, spaces, neededBy } }),
    ],
  };
};
