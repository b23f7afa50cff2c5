import { isIP } from 'node:net';

import type { FlowReport } from '../api/connection-node.ts';
import type { PlanSection } from '../api/pod-annotation.ts';
import type { FlowCount, FlowMatch, Remote } from '../linux/flows/flow-match.ts';

type SectionFlow = PlanSection['flows'][number];

/** A planned flow, and what tells its sockets from others. */
export interface PlannedFlow {
  /** Undefined: what it has cannot be told from another flow's. */
  readonly name: string | undefined;
  readonly match: FlowMatch;
}

/** A list of targets as long as that may have been cut (plan-section.ts). */
const mostTargets = 16;

const nothing: FlowMatch = { localPorts: [], remotes: [], remotePorts: [], hasRest: false };

/**
 * How a section's flows are told apart. Those that overlap are not told. After them comes what no flow has, where none has the
 * rest.
 *
 *   inbound                what was accepted at its port
 *   outbound, addresses    what goes to them
 *   outbound, a Service    what goes to its port, wherever: the agent knows no addresses of Services
 *   outbound, unlisted     what was opened and no other flow has; so it is for a list of targets that was cut
 */
export function plannedFlowsFor(flows: readonly SectionFlow[]): readonly PlannedFlow[] {
  const matches = flows.map(matchFor);
  const users = Map.groupBy(matches.flatMap(keysOf), (key) => key);
  const isApart = (match: FlowMatch): boolean => {
    const keys = keysOf(match);
    return keys.length > 0 && keys.every((key) => users.get(key)?.length === 1);
  };
  const planned = flows.map(({ name }, index) => {
    const match = matches[index] ?? nothing;
    return { name: isApart(match) ? name : undefined, match };
  });
  const isRestTaken = matches.some(({ hasRest }) => hasRest);
  return isRestTaken ? planned : [...planned, { name: undefined, match: { ...nothing, hasRest: true } }];
}

/** What each flow that can be told has, in the order of the plan. */
export function flowUsageFor(planned: readonly PlannedFlow[], counts: readonly FlowCount[]): readonly FlowReport[] {
  const rest = counts[planned.findIndex(({ match }) => match.hasRest)];
  const hasRest = rest !== undefined && rest.established > 0;
  return planned.flatMap(({ name, match }, index) => {
    const { established, timeWait } = counts[index] ?? { established: 0, timeWait: 0 };
    // Endpoints may have another port than their Service: what goes there is in the rest, and not none.
    const isUnknown = match.remotePorts.length > 0 && established === 0 && hasRest;
    return name === undefined || isUnknown ? [] : [{ name, connections: established, timeWait }];
  });
}

function matchFor({ direction, port, targets }: SectionFlow): FlowMatch {
  if (direction === 'Inbound') return { ...nothing, localPorts: port === 0 ? [] : [port] };
  const parsed = targets.flatMap((target) => targetOf(target) ?? []);
  return {
    localPorts: [],
    remotes: parsed.filter(({ ip }) => isIP(ip) !== 0),
    remotePorts: parsed.filter(({ ip }) => isIP(ip) === 0).map((target) => target.port),
    hasRest: targets.length === 0 || targets.length >= mostTargets,
  };
}

/** "10.0.0.5:9092", "[fd00::5]:9092", or "messaging/broker:1883" of a Service, which has no ip. */
function targetOf(text: string): Remote | undefined {
  const [, bracketed, name = bracketed ?? '', digits] = /^(?:\[(.*)\]|([^[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  return port >= 1 && port <= 65_535 ? { ip: name, port } : undefined;
}

const keysOf = ({ localPorts, remotes, remotePorts, hasRest }: FlowMatch): readonly string[] => [
  ...localPorts.map((port) => `local ${port}`),
  ...remotes.map(({ ip, port }) => `${ip} ${port}`),
  ...remotePorts.map((port) => `any ${port}`),
  ...(hasRest ? ['rest'] : []),
];
