import type { Demand, Translator } from './demand.ts';
import { amountText, bindingText, numberText } from './explain.ts';
import type { Limit } from './limit.ts';
import { isBoundToAddresses, isTranslated } from './tuple-spaces.ts';

/** The cheapest change that would lift a binding limit, with its number. */

const times = ({ needed, capacity = 0 }: Limit): number => Math.ceil(needed / Math.max(1, capacity));

/** Processes, targets or addresses over which the connections must be spread so that each share fits. */
const partsFor = ({ terms, capacity = 0 }: Limit): number => {
  const fits = Math.floor((Math.floor(capacity / terms.sharers) - terms.fixed) / terms.factor);
  return fits <= 0 ? Infinity : Math.ceil((terms.connections + terms.rate * terms.seconds) / fits);
};

const countText = (count: number, one: string, many: string): string =>
  count === Infinity ? `more ${many}` : `${numberText(count)} ${count === 1 ? one : many}`;

const translatorOf = (demand: Demand, limit: Limit): Translator | undefined =>
  [...demand.inbound, ...demand.outbound]
    .find((flow) => flow.name === limit.flow)
    ?.path.find(({ name }) => name === limit.subject);

/** Declared shares are of 100; an even share is of the number of targets. */
const isSkewed = ({ terms }: Limit): boolean => terms.denominator === 100 && terms.numerator > 1;

const spreadText = (limit: Limit): string =>
  isSkewed(limit) ? 'spread the busiest target' : 'reach the destination at more addresses or ports';

/** One pod alone, where that would fit and there are more. */
const onePodPerNode = (demand: Demand, limit: Limit): string => {
  const fits = limit.needed / limit.terms.sharers <= (limit.capacity ?? 0);
  return limit.scope === 'Node' && demand.scale.podsPerNode > 1 && fits ? 'one pod per node, ' : '';
};

const translatorRemedy = (demand: Demand, limit: Limit): string => {
  const inbound = demand.inbound.some(({ name }) => name === limit.flow);
  if (inbound) {
    const ports = numberText(times(limit));
    return `let ${limit.subject} preserve the client's address, or serve on ${ports} ports or targets`;
  }
  const extra = demand.extraAddresses.maximumExtra > 0 ? '; extra source addresses of the pod do not help there' : '';
  const perAddress = translatorOf(demand, limit)?.portsPerAddress ?? limit.capacity ?? 1;
  const addresses = Math.ceil(limit.needed / Math.max(1, perAddress));
  const fewer = onePodPerNode(demand, limit);
  return `${fewer}${countText(addresses, 'address', 'addresses')} for ${limit.subject} that it uses evenly, or ${spreadText(limit)}${extra}`;
};

const bindsEarly = (demand: Demand, { concerns = [] }: Limit): boolean =>
  concerns.length > 0 && concerns.every((index) => demand.outbound[index - demand.inbound.length]?.binding === 'Early');

const mostExtraAddresses = 32;

/** ", or 5 source addresses …" where more of them would do, bound by us or by the program. */
const addressRemedy = (demand: Demand, { needed, capacity = 0, concerns = [] }: Limit): string => {
  const { maximumExtra, ownCounts, spread } = demand.extraAddresses;
  const flows = concerns.flatMap((index) => demand.outbound[index - demand.inbound.length] ?? []);
  const areBound = flows.every((flow) => isBoundToAddresses(flow, spread) && !isTranslated(flow));
  const perAddress = capacity / Math.max(1, ownCounts ? 1 + maximumExtra : maximumExtra);
  const addresses = Math.ceil(needed / Math.max(1, perAddress));
  const extra = ownCounts ? addresses - 1 : addresses;
  if (!areBound || demand.pod.hostNetwork || extra > mostExtraAddresses) return '';
  return `, or ${numberText(addresses)} source addresses (sourceAddresses with a provider and maximum ${extra})`;
};

const portRemedy = (demand: Demand, limit: Limit): string => {
  const more = addressRemedy(demand, limit);
  if (bindsEarly(demand, limit)) {
    return `bind late (IP_BIND_ADDRESS_NO_PORT), so that every destination has the whole range${more}`;
  }
  if (limit.stage === 'Sidecar') {
    const port = demand.inbound.find(({ name }) => name === limit.flow)?.port ?? 0;
    return `let connections to port ${port} pass the sidecar by, or serve on ${numberText(times(limit))} ports`;
  }
  const targets = countText(partsFor(limit), 'target', 'targets');
  return `spread the connections evenly over ${targets} (endpoints instead of the ClusterIP, more server ports), or over more pods${more}`;
};

const clientRemedy = (demand: Demand, limit: Limit): string => {
  const clients = demand.inbound.find(({ name }) => name === limit.flow)?.clients;
  const addresses = numberText(Math.ceil(limit.needed / Math.max(1, clients?.portsPerAddress ?? 1)));
  return `it binds in the clients, not here: a budget there for a wider port range, ${addresses} client addresses, or a second server port`;
};

const farEndRemedy = (limit: Limit): string => {
  const more = isSkewed(limit)
    ? 'spread the busiest address'
    : `reach ${numberText(times(limit))} times as many addresses`;
  return `let the far end take ${amountText(limit.needed, 'connections')} per address, or ${more}`;
};

const queueRemedy = (demand: Demand, limit: Limit): string => {
  if (demand.pod.hostNetwork)
    return `net.core.somaxconn of at least ${numberText(limit.needed)} on the nodes, and as long a listen backlog`;
  const sockets = demand.inbound.find(({ name }) => name === limit.flow)?.listenSockets ?? 1;
  const backlog = Math.ceil(limit.needed / sockets) - 1;
  return `raise the program's listen backlog to ${numberText(backlog)}, or accept on ${numberText(times(limit) * sockets)} SO_REUSEPORT sockets`;
};

const descriptorRemedy = (limit: Limit): string => {
  const processes = countText(partsFor(limit), 'process', 'processes');
  const container = limit.subject === '' ? 'the first container' : `container ${limit.subject}`;
  const raise =
    limit.limit === 'fs.nr_open'
      ? `fs.nr_open of ${numberText(limit.needed)} on the nodes`
      : 'nodes where the agent may raise hard limits (CAP_SYS_RESOURCE)';
  return `${processes} in ${container}, or ${raise}`;
};

const fewerPods = ({ scale }: Demand): string => (scale.podsPerNode > 1 ? ', or fewer planned pods per node' : '');

const remedyFor = (demand: Demand, limit: Limit): string => {
  switch (limit.limit) {
    case 'RLIMIT_NOFILE':
    case 'fs.nr_open':
      return descriptorRemedy(limit);
    case 'net.ipv4.ip_local_port_range':
    case 'SourcePorts':
      return portRemedy(demand, limit);
    case 'AcceptQueue':
    case 'SynQueue':
      return queueRemedy(demand, limit);
    case 'TranslatorPorts':
      return translatorRemedy(demand, limit);
    case 'ClientPorts':
      return clientRemedy(demand, limit);
    case 'MaxConnectionsPerAddress':
      return farEndRemedy(limit);
    case 'MemoryLimit':
      return `a memory limit of at least ${numberText(limit.needed)} bytes for container ${limit.subject}`;
    case 'MemoryTotal':
      return `nodes with at least ${numberText(limit.needed)} bytes of memory${fewerPods(demand)}`;
    default:
      return `${limit.limit} of at least ${numberText(limit.needed)} on the nodes${fewerPods(demand)}`;
  }
};

/** Why a plan is not feasible, and what would lift it, in a sentence each. */
export const explainBinding = (
  demand: Demand,
  limit: Limit,
): { readonly message: string; readonly remedy: string } => ({
  message: bindingText(limit),
  remedy: remedyFor(demand, limit),
});
