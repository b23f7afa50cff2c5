import { addressFaults } from '../addresses/provider.ts';
import type { PodReport } from '../api/connection-node.ts';
import { podReasons } from '../api/node-report.ts';
import { flowSources } from '../linux/flows/flow-counter.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { FlowRound } from './observe-flows.ts';

export interface AgentMetrics {
  readonly countError: (error: unknown) => void;
  readonly countWrite: (hasFailed: boolean) => void;
  readonly seePods: (pods: readonly PodReport[]) => void;
  readonly seeRuntime: (isSynchronized: boolean) => void;
  readonly countLooking: (at: LookedAt, cpuMs: number) => void;
  readonly seeFlowRound: (round: FlowRound) => void;
}

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
  const pods = metrics.gauge({
    name: 'connectionbudget_planned_pods',
    help: 'Planned pods of this node, by what was last seen of them.',
    labels: { reason: podReasons },
  });
  const runtime = metrics.gauge({
    name: 'connectionbudget_runtime_synchronized',
    help: '1 while every new pod of this node passes through the agent.',
    labels: {},
  });
  return {
    countError: (error) => errors({ kind: kindOf(error) }),
    countWrite: (hasFailed) => writes({ outcome: hasFailed ? 'Failed' : 'Written' }),
    seePods: (reports) => {
      for (const reason of podReasons) pods({ reason }, reports.filter((report) => report.reason === reason).length);
    },
    seeRuntime: (isSynchronized) => runtime({}, isSynchronized ? 1 : 0),
    ...lookingMetrics(metrics),
  };
}

function lookingMetrics(metrics: Metrics): Pick<AgentMetrics, 'countLooking' | 'seeFlowRound'> {
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

const kindOf = (error: unknown): string => (error instanceof Error && 'kind' in error ? String(error.kind) : '');
