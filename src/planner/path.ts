import type { Assumption, Demand, InboundFlow, OutboundFlow, Translator } from './demand.ts';
import { keepaliveIntervalSeconds, timeWaitSeconds } from './kernel.ts';
import { type Limit, limitFor, noTerms, type StageOutcome, type Sysctl } from './limit.ts';
import { type Load, type Loads, termsFor } from './load.ts';
import { busiestShare } from './tuple-spaces.ts';

const sharersOf = (sharedBy: Translator['sharedBy'], loads: Loads): number => {
  if (sharedBy === 'Pod') return 1;
  return sharedBy === 'Node' ? loads.podsPerNodeWithSurge : loads.podsWithSurge;
};

const isOutbound = (load: Load): load is Load<OutboundFlow> => 'binding' in load.flow;

/**
 * A translator has addresses × ports tuples per destination, shared by its pods; what it keeps after the close counts too:
 * 2 pods × (27,500 + 110/s × 120 s) = 81,400 > 62,000. Extra addresses of the pod change nothing here.
 */
const translatorLimit = (load: Load, translator: Translator, loads: Loads): readonly Limit[] => {
  const { type, name, addresses, portsPerAddress, sharedBy, lingerSeconds } = translator;
  if (portsPerAddress === undefined) return [];
  const share = isOutbound(load) ? busiestShare(load.flow) : {};
  return [
    limitFor({
      stage: type,
      limit: 'TranslatorPorts',
      scope: sharedBy === 'Pod' ? 'Pod' : sharedBy === 'Node' ? 'Node' : 'Path',
      flow: load.flow.name,
      subject: name,
      unit: 'ports',
      terms: { ...noTerms, ...termsFor([load]), ...share, sharers: sharersOf(sharedBy, loads), seconds: lingerSeconds },
      capacity: addresses * portsPerAddress,
      concerns: [load.index],
    }),
  ];
};

/** Clients have so many ports each to our address and port; one that closes first keeps its port for 61 s. */
const clientLimit = (load: Load<InboundFlow>): readonly Limit[] => {
  const { clients, name, closedBy } = load.flow;
  if (clients === undefined) return [];
  return [
    limitFor({
      stage: 'Clients',
      limit: 'ClientPorts',
      scope: 'Path',
      flow: name,
      unit: 'ports',
      terms: { ...noTerms, ...termsFor([load]), seconds: closedBy === 'Peer' ? timeWaitSeconds : 0 },
      capacity: clients.addresses * clients.portsPerAddress,
      concerns: [load.index],
    }),
  ];
};

/** What one destination address takes from all pods: pods × its share of the connections. */
const destinationLimit = (load: Load<OutboundFlow>, loads: Loads): readonly Limit[] => {
  const { maxConnectionsPerAddress, destinationAddresses, name } = load.flow;
  if (maxConnectionsPerAddress === undefined) return [];
  const busiest = busiestShare(load.flow);
  const even = busiest.numerator * destinationAddresses <= busiest.denominator;
  return [
    limitFor({
      stage: 'Destination',
      limit: 'MaxConnectionsPerAddress',
      scope: 'Path',
      flow: name,
      unit: 'connections',
      terms: {
        ...noTerms,
        ...termsFor([load]),
        ...(even ? { numerator: 1, denominator: destinationAddresses } : busiest),
        sharers: loads.podsWithSurge,
      },
      capacity: maxConnectionsPerAddress,
      concerns: [load.index],
    }),
  ];
};

/** Below the shortest idle timeout by so much that one lost probe can be repeated: 350 s gives 210 s. */
const keepaliveSecondsFor = (idleTimeoutSeconds: number): number => {
  const withRepeat = idleTimeoutSeconds - keepaliveIntervalSeconds;
  return Math.max(1, Math.min(Math.floor(idleTimeoutSeconds * 0.6), withRepeat > 0 ? withRepeat : idleTimeoutSeconds));
};

const keepalive = (
  demand: Demand,
  loads: Loads,
): { readonly sysctls: readonly Sysctl[]; readonly assumptions: readonly Assumption[] } => {
  let shortest = Infinity;
  let flow = '';
  for (const load of loads.all) {
    for (const { idleTimeoutSeconds = Infinity } of load.flow.path) {
      if (idleTimeoutSeconds >= shortest) continue;
      shortest = idleTimeoutSeconds;
      flow = load.flow.name;
    }
  }
  if (shortest === Infinity) return { sysctls: [], assumptions: [] };
  const value = String(keepaliveSecondsFor(shortest));
  return {
    sysctls: demand.pod.hostNetwork ? [] : [{ name: 'net.ipv4.tcp_keepalive_time', value, setBy: 'Agent' }],
    assumptions: [{ kind: 'KeepaliveAsked', subject: flow, value: shortest }],
  };
};

export const planPath = (demand: Demand, loads: Loads): StageOutcome => {
  const limits: Limit[] = [];
  for (const load of loads.inbound) limits.push(...clientLimit(load));
  for (const load of loads.all) {
    for (const translator of load.flow.path) limits.push(...translatorLimit(load, translator, loads));
  }
  for (const load of loads.outbound) limits.push(...destinationLimit(load, loads));
  return { limits, ...keepalive(demand, loads) };
};
