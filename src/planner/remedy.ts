import type { Demand, Translator } from './demand.ts';
import { amountText, bindingText, bytesText, numberText } from './explain.ts';
import type { Limit } from './limit.ts';

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

const translatorRemedy = (demand: Demand, limit: Limit): string => {
  const inbound = demand.inbound.some(({ name }) => name === limit.flow);
  if (inbound) {
    const ports = numberText(times(limit));
    return `let ${limit.subject} preserve the client's address, or serve on ${ports} ports or targets`;
  }
  const translator = translatorOf(demand, limit);
  const addresses = Math.ceil(limit.needed / Math.max(1, translator?.portsPerAddress ?? limit.capacity ?? 1));
  const fewer = translator?.sharedBy === 'Node' && limit.terms.sharers > 1 ? 'one pod per node, ' : '';
  const spread =
    limit.terms.denominator === 1 ? 'reach the destination at more addresses or ports' : 'spread the busiest target';
  return `${fewer}${countText(addresses, 'address', 'addresses')} for ${limit.subject}, or ${spread}`;
};

const portRemedy = (demand: Demand, limit: Limit): string => {
  const flow = demand.outbound.find(({ name }) => name === limit.flow);
  const parts = partsFor(limit);
  if (flow?.binding === 'Early')
    return 'bind late (IP_BIND_ADDRESS_NO_PORT), so that every destination has the whole range';
  if (limit.stage === 'Sidecar')
    return `let the sidecar pass port ${limit.flow} by, or serve on ${numberText(times(limit))} ports`;
  const targets = countText(parts, 'target', 'targets');
  return `spread the connections evenly over ${targets} (endpoints instead of the ClusterIP, more server ports), or over more pods`;
};

const queueRemedy = (demand: Demand, limit: Limit): string => {
  const sockets = demand.inbound.find(({ name }) => name === limit.flow)?.listenSockets ?? 1;
  const backlog = Math.ceil(limit.needed / sockets) - 1;
  return `raise the program's listen backlog to ${numberText(backlog)}, or accept on ${numberText(times(limit) * sockets)} SO_REUSEPORT sockets`;
};

const descriptorRemedy = (limit: Limit): string => {
  const processes = countText(partsFor(limit), 'process', 'processes');
  const raise =
    limit.limit === 'fs.nr_open'
      ? `fs.nr_open of ${numberText(limit.needed)} on the nodes`
      : 'nodes where the agent may raise hard limits (CAP_SYS_RESOURCE)';
  return `${processes} in container ${limit.subject === '' ? 'of the pod' : limit.subject}, or ${raise}`;
};

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
      return `it binds in the clients, not here: a budget there for a wider port range, ${numberText(times(limit))} times as many clients, or a second server port`;
    case 'MaxConnectionsPerAddress':
      return `let the far end take ${amountText(limit.needed, 'connections')} per address, or reach ${numberText(times(limit))} times as many addresses`;
    case 'MemoryLimit':
      return `a memory limit of at least ${bytesText(limit.needed)} for container ${limit.subject}`;
    case 'MemoryTotal':
      return `nodes with more than ${bytesText(limit.needed)} of memory, or fewer planned pods per node`;
    default:
      return `${limit.limit} of at least ${numberText(limit.needed)} on the nodes, or fewer planned pods per node`;
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
