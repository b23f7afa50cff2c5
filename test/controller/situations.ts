import type { ConnectionBudgetStatus } from '../../src/api/budget-status.ts';
import { type ConnectionBudget, parseConnectionBudget } from '../../src/api/budget-object.ts';
import type { PodReport } from '../../src/api/connection-node.ts';
import { nothingObserved } from '../../src/api/demand.ts';
import type { CarriedPlan } from '../../src/controller/cluster.ts';
import { plannedFor } from '../../src/controller/planned.ts';
import type { MatchingPod, Situation } from '../../src/controller/situation.ts';

/** Situations to decide over: a broker's clients that fit, and one change at a time. */

export const now = new Date('2026-11-23T12:00:00.500Z');

export const budgetObject = (spec: object = {}, metadata: object = {}): object => ({
  apiVersion: 'connectionbudget.io/v1alpha1',
  kind: 'ConnectionBudget',
  metadata: {
    namespace: 'messaging',
    name: 'gateway',
    uid: 'uid-of-gateway',
    generation: 3,
    creationTimestamp: '2026-11-23T10:00:00Z',
    ...metadata,
  },
  spec: {
    selector: { matchLabels: { app: 'gateway' } },
    scale: { pods: 2, podsPerNode: 1 },
    inbound: [{ name: 'mqtt', port: 1883, connections: 20_000, clients: { addresses: 100 } }],
    ...spec,
  },
});

export const budgetOf = (spec: object = {}, metadata: object = {}): ConnectionBudget => {
  const { budget, violations } = parseConnectionBudget(budgetObject(spec, metadata));
  if (budget === undefined) throw new Error(JSON.stringify(violations));
  return budget;
};

/** A node where everything is known and there is enough of it. */
export const roomyNode = {
  kernelRelease: '6.8.0',
  nrOpen: 1_048_576,
  fileMax: 10_000_000,
  conntrackMax: 1_000_000,
  tcpMemMaximumPages: 4_000_000,
  epollMaxUserWatches: 20_000_000,
  maxTwBuckets: 262_144,
  memoryBytes: 64 * 2 ** 30,
  runtimeNofile: { soft: 1024, hard: 524_288 },
  settableNofile: 1_048_576,
};

export const podOf = (change: Partial<MatchingPod> = {}): MatchingPod => ({
  name: 'gateway-1',
  isRunning: true,
  startedAt: '2026-11-23T11:00:00Z',
  nodeName: 'node-a',
  observed: {
    hostNetwork: false,
    declaredPorts: [1883],
    portRange: undefined,
    kubeletReservesPorts: true,
    containerNames: ['gateway'],
    memoryLimitBytes: new Map(),
  },
  ownSysctls: new Map(),
  attachedAddresses: 0,
  carried: undefined,
  report: undefined,
  hasAgent: true,
  ...change,
});

/** More than one address and one port can have: what is wrong with it is told by an Event. */
export const tooMany = {
  inbound: [],
  outbound: [{ name: 'web', connections: 100_000, destination: { addresses: { ips: ['192.0.2.1'], ports: [443] } } }],
};

export const situationOf = (change: Partial<Situation> = {}): Situation => ({
  budget: budgetOf(),
  unknownFields: [],
  observed: nothingObserved('messaging'),
  facts: roomyNode,
  pods: [],
  untouchable: 0,
  rivals: [],
  isNamespaceEnabled: true,
  previous: undefined,
  now,
  ...change,
});

/** What a pod carries when it was created just now. */
export const carriedFor = (situation: Situation, pod: MatchingPod = podOf()): CarriedPlan => {
  const { hash, section } = plannedFor(situation, pod);
  return { hash, section };
};

/** The hash that a pod carries when it was created just now. */
export const hashFor = (situation: Situation, pod: MatchingPod = podOf()): string => carriedFor(situation, pod).hash;

export const reportOf = (sectionHash: string, change: Partial<PodReport> = {}): PodReport => ({
  namespace: 'messaging',
  name: 'gateway-1',
  uid: 'uid-of-pod',
  budget: 'gateway',
  sectionHash,
  verified: true,
  reason: 'Applied',
  message: 'soft 22064, hard 22064 as planned',
  sourceAddresses: [],
  ...change,
});

/** The situation with pods that carry what is planned in it, each changed as asked for. */
export const withPods = (situation: Situation, ...changes: readonly Partial<MatchingPod>[]): Situation => {
  const carried = carriedFor(situation);
  return {
    ...situation,
    pods: changes.map((change, index) =>
      podOf({ name: `gateway-${index + 1}`, carried, report: reportOf(carried.hash), ...change }),
    ),
  };
};

/** "Feasible True PlanFits", … in the order of the types. */
export const shortOf = ({ conditions }: ConnectionBudgetStatus): readonly string[] =>
  conditions.map(({ type, status, reason }) => `${type} ${status} ${reason}`);

export const messageOf = ({ conditions }: ConnectionBudgetStatus, type: string): string =>
  conditions.find((condition) => condition.type === type)?.message ?? '';
