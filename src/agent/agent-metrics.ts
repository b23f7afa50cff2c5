import { addressFaults } from '../addresses/provider.ts';
import type { PodReport } from '../api/connection-node.ts';
import { podReasons } from '../api/node-report.ts';
import { kubeErrorKinds } from '../kube/connection-node.ts';
import { flowSources } from '../linux/flows/flow-counter.ts';
import type { PluginHandlers } from '../nri/handlers.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { FlowRound } from './observe-flows.ts';
import { type LatePart, lateParts } from './planned-pods.ts';

export interface AgentMetrics {
  readonly countError: (error: unknown) => void;
  /** undefined: it was written. */
  readonly countWrite: (error: unknown) => void;
  readonly countRegistration: () => void;
  readonly countLate: (part: LatePart) => void;
  readonly countDiscardedThread: (kind: string) => void;
  /** Answered after so many seconds. */
  readonly sawEvent: (event: RuntimeEvent, seconds: number) => void;
  readonly countLooking: (at: LookedAt, cpuMs: number) => void;
  readonly seeFlowRound: (round: FlowRound) => void;
}

export const runtimeEvents = [
  'synchronize',
  'runPodSandbox',
  'createContainer',
  'postStartContainer',
  'stopContainer',
  'stopPodSandbox',
  'removePodSandbox',
] as const satisfies readonly (keyof PluginHandlers)[];
export type RuntimeEvent = (typeof runtimeEvents)[number];

const lookedAt = ['Totals', 'Flows'] as const;
type LookedAt = (typeof lookedAt)[number];
const sources = [...flowSources, 'None'] as const;

/** Of linux, nri, addresses and this folder. */
const errorKinds = [
  'NotPermitted',
  'NotFound',
  'AboveNrOpen',
  'InvalidInput',
  'TimedOut',
  'WorkerFailed',
  'SystemCall',
  'HandlerFailed',
  'HandlerTimedOut',
  'IncompleteEvent',
  'RuntimeUnreachable',
  'RegistrationFailed',
  'ConnectionLost',
  'NotEd25519',
  'Unreadable',
  ...addressFaults,
] as const;

export function agentMetrics(metrics: Metrics): AgentMetrics {
  const errors = metrics.counter({
    name: 'connectionbudget_agent_errors_total',
    help: 'What went wrong on this node, by kind.',
    labels: { kind: errorKinds },
  });
  const writes = metrics.counter({
    name: 'connectionbudget_status_writes_total',
    help: 'Writes of the ConnectionNode of this node.',
    labels: { outcome: ['Written', 'Failed'] },
  });
  const lastWrite = metrics.gauge({
    name: 'connectionbudget_status_written_timestamp_seconds',
    help: 'When the ConnectionNode was last written, in seconds since 1970; 0: never.',
    labels: {},
  });
  const writeFailures = metrics.counter({
    name: 'connectionbudget_status_write_failures_total',
    help: 'Writes of the ConnectionNode that failed and are tried again.',
    labels: { kind: [...kubeErrorKinds, 'Internal'] },
  });
  return {
    countError: (error) => errors({ kind: kindOf(error) }),
    countWrite: (error) => {
      writes({ outcome: error === undefined ? 'Written' : 'Failed' });
      if (error === undefined) lastWrite({}, Date.now() / 1000);
      else writeFailures({ kind: kindOf(error) || 'Internal' });
    },
    ...runtimeMetrics(metrics),
    ...lookingMetrics(metrics),
  };
}

type LookingMetrics = Pick<AgentMetrics, 'countLooking' | 'seeFlowRound'>;

function lookingMetrics(metrics: Metrics): LookingMetrics {
  const spent = metrics.counter({
    name: 'connectionbudget_observe_cpu_seconds_total',
    help: 'CPU time of the agent while it looked at the totals of pods or at the sockets of their flows.',
    labels: { of: lookedAt },
  });
  const pass = metrics.gauge({
    name: 'connectionbudget_flow_pass_seconds',
    help: 'CPU time of the last passes over the sockets of the pods that had changed.',
    labels: {},
  });
  const wait = metrics.gauge({
    name: 'connectionbudget_flow_pass_wait_seconds',
    help: 'How long the next passes wait after the last ones, so that looking stays within 0.7 % of a core.',
    labels: {},
  });
  const source = metrics.gauge({
    name: 'connectionbudget_flow_source',
    help: '1 for what counts the connections of flows on this node; none is 1 before the first pass.',
    labels: { source: sources },
  });
  const countLooking = (of: LookedAt, cpuMs: number): void => spent({ of }, cpuMs / 1000);
  return {
    countLooking,
    seeFlowRound: (round) => {
      countLooking('Flows', round.cpuMs);
      pass({}, round.cpuMs / 1000);
      wait({}, round.waitMs / 1000);
      for (const each of sources) source({ source: each }, each === round.source ? 1 : 0);
    },
  };
}

type RuntimeMetrics = Omit<AgentMetrics, 'countError' | 'countWrite' | keyof LookingMetrics>;

function runtimeMetrics(metrics: Metrics): RuntimeMetrics {
  const registrations = metrics.counter({
    name: 'connectionbudget_runtime_registrations_total',
    help: 'Registrations with the container runtime: each after the first follows a loss of it.',
    labels: {},
  });
  const late = metrics.counter({
    name: 'connectionbudget_late_repairs_total',
    help: 'What had to be set after a pod had started, by part; each pod or container once.',
    labels: { part: lateParts },
  });
  const discarded = metrics.counter({
    name: 'connectionbudget_namespace_thread_failures_total',
    help: 'Threads for network namespaces that were given up and started anew.',
    labels: { kind: ['TimedOut', 'WorkerFailed'] },
  });
  const events = metrics.histogram({
    name: 'connectionbudget_runtime_event_duration_seconds',
    help: 'Time to answer an event of the container runtime, which waits for it. It drops plugins after 2 s.',
    labels: { event: runtimeEvents },
    buckets: [0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1, 2],
  });
  return {
    countRegistration: () => registrations({}),
    countLate: (part) => late({ part }),
    countDiscardedThread: (kind) => discarded({ kind }),
    sawEvent: (event, seconds) => events({ event }, seconds),
  };
}

/** What is looked at when somebody asks: what is published may be older, while the API server takes nothing. */
export interface AgentSight {
  readonly pods: readonly PodReport[];
  readonly isSynchronized: boolean;
  readonly leasedAddresses: number;
  readonly acceptedKeys: number;
}

export function observeAgent(metrics: Metrics, sight: () => AgentSight): void {
  const labels = { reason: podReasons };
  metrics.observedGauge(
    {
      name: 'connectionbudget_planned_pods',
      help: 'Planned pods of this node, by what was last seen of them.',
      labels,
    },
    () => {
      const byReason = Map.groupBy(sight().pods, ({ reason }) => reason);
      return podReasons.map((reason) => ({ labels: { reason }, value: byReason.get(reason)?.length ?? 0 }));
    },
  );
  const one = (name: string, help: string, valueOf: (sight: AgentSight) => number): void =>
    metrics.observedGauge({ name, help, labels: {} }, () => [{ labels: {}, value: valueOf(sight()) }]);
  one(
    'connectionbudget_runtime_synchronized',
    '1 while every new pod of this node passes through the agent.',
    ({ isSynchronized }) => Number(isSynchronized),
  );
  one(
    'connectionbudget_leased_addresses',
    'Further source addresses that the pods of this node hold, of each family.',
    ({ leasedAddresses }) => leasedAddresses,
  );
  one(
    'connectionbudget_accepted_keys',
    'Keys of the webhook whose plans this agent accepts. 0: none yet.',
    ({ acceptedKeys }) => acceptedKeys,
  );
}

const kindOf = (error: unknown): string => (error instanceof Error && 'kind' in error ? String(error.kind) : '');
