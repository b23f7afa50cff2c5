import type { Assumption, Demand, InboundFlow, OutboundFlow, Translator } from './demand.ts';
import { timeWaitSeconds } from './kernel.ts';
import { type Limit, limitFor, noTerms, type StageOutcome, type Sysctl, type Terms } from './limit.ts';
import { type Load, type Loads, termsFor } from './load.ts';
import { busiestAddressShare, busiestShare, groupsThatMeet, meetingTerms } from './sharing.ts';

const sharersOf = (sharedBy: Translator['sharedBy'], loads: Loads): number => {
  if (sharedBy === 'Pod') return 1;
  return sharedBy === 'Node' ? loads.podsPerNodeWithSurge : loads.podsWithSurge;
};

const isOutbound = (load: Load): load is Load<OutboundFlow> => 'binding' in load.flow;

/**
 * A translator has addresses × ports tuples per destination, shared by its pods; what it keeps after the close counts too:
 * 2 pods × (27,500 + 110/s × 120 s) = 81,400 > 62,000. Extra addresses of the pod change nothing here.
 */
const translatorLimit = (group: readonly Load[], translator: Translator, loads: Loads): readonly Limit[] => {
  const { type, name, addresses, portsPerAddress, sharedBy, lingerSeconds } = translator;
  if (portsPerAddress === undefined) return [];
  return [
    limitFor({
      stage: type,
      limit: 'TranslatorPorts',
      scope: scopes[sharedBy],
      flow: group.length === 1 ? (group[0]?.flow.name ?? '') : '',
      subject: name,
      unit: 'ports',
      terms: { ...noTerms, ...throughTranslator(group), sharers: sharersOf(sharedBy, loads), seconds: lingerSeconds },
      capacity: addresses * portsPerAddress,
      concerns: group.map(({ index }) => index),
    }),
  ];
};

const scopes = { Pod: 'Pod', Node: 'Node', Cluster: 'Path' } as const;

const throughTranslator = (group: readonly Load[]): Partial<Terms> => {
  const outbound = group.filter(isOutbound);
  const [first] = outbound;
  if (first === undefined) return termsFor(group);
  return outbound.length === 1 ? { ...termsFor(group), ...busiestShare(first.flow) } : meetingTerms(outbound, outbound);
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
const farEndLimit = (loads: readonly Load<OutboundFlow>[], terms: Partial<Terms>, podsWithSurge: number): Limit =>
  limitFor({
    stage: 'Destination',
    limit: 'MaxConnectionsPerAddress',
    scope: 'Path',
    flow: loads.length === 1 ? (loads[0]?.flow.name ?? '') : '',
    unit: 'connections',
    terms: { ...noTerms, ...terms, rate: 0, declaredRate: 0, sharers: podsWithSurge },
    capacity: Math.min(...loads.map(({ flow }) => flow.maxConnectionsPerAddress ?? Infinity)),
    concerns: loads.map(({ index }) => index),
  });

const farEndLimits = (loads: Loads): readonly Limit[] => {
  const limited = loads.outbound.filter(({ flow }) => flow.maxConnectionsPerAddress !== undefined);
  const meeting = groupsThatMeet(limited, ({ flow }) => flow.farEndKeys);
  return [
    ...limited.map((load) =>
      farEndLimit([load], { ...termsFor([load]), ...busiestAddressShare(load.flow) }, loads.podsWithSurge),
    ),
    ...meeting.map((group) => farEndLimit(group, meetingTerms(group, [], busiestAddressShare), loads.podsWithSurge)),
  ];
};

const translatorKeysOf = ({ flow }: Load<OutboundFlow>): readonly string[] =>
  flow.path.flatMap(({ name, portsPerAddress }) =>
    portsPerAddress === undefined ? [] : flow.targets.map((target) => `${name} ${target}`),
  );

/** Flows that pass one translator to one target share its tuples there. */
const sharedTranslatorLimits = (loads: Loads): readonly Limit[] => {
  return groupsThatMeet(loads.outbound, translatorKeysOf).flatMap((group) => {
    const names = group.map(({ flow }) => new Set(flow.path.map(({ name }) => name)));
    const shared = group[0]?.flow.path.filter(({ name }) => names.every((others) => others.has(name))) ?? [];
    return shared.flatMap((translator) => translatorLimit(group, translator, loads));
  });
};

/** Well below the shortest idle timeout: 350 s gives 210 s, so that a lost probe can be repeated in time. */
const keepaliveSecondsFor = (idleTimeoutSeconds: number): number => Math.max(1, Math.floor(idleTimeoutSeconds * 0.6));

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

/** One assumption for each translator with several addresses; a hash of the addresses spreads pods, not connections (measured). */
const evenAddresses = ({ all }: Loads): readonly Assumption[] => {
  const several = all.flatMap(({ flow }) =>
    flow.path.filter(({ addresses, portsPerAddress }) => addresses > 1 && portsPerAddress !== undefined),
  );
  const byName = new Map(several.map(({ name, addresses }) => [name, addresses]));
  return [...byName].map(([subject, value]) => ({ kind: 'EvenTranslatorAddresses', subject, value }));
};

export const planPath = (demand: Demand, loads: Loads): StageOutcome => {
  const { sysctls, assumptions } = keepalive(demand, loads);
  return {
    limits: [
      ...loads.inbound.flatMap(clientLimit),
      ...loads.all.flatMap((load) =>
        load.flow.path.flatMap((translator) => translatorLimit([load], translator, loads)),
      ),
      ...sharedTranslatorLimits(loads),
      ...farEndLimits(loads),
    ],
    sysctls,
    assumptions: [...assumptions, ...evenAddresses(loads)],
  };
};
