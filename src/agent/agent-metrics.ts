import { addressFaults } from '../addresses/provider.ts';
import type { PodReport } from '../api/connection-node.ts';
import { podReasons } from '../api/node-report.ts';
import type { Metrics } from '../observability/metrics.ts';

export interface AgentMetrics {
  readonly countError: (error: unknown) => void;
  readonly countWrite: (hasFailed: boolean) => void;
  readonly seePods: (pods: readonly PodReport[]) => void;
  readonly seeRuntime: (isSynchronized: boolean) => void;
}

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
  };
}

const kindOf = (error: unknown): string => (error instanceof Error && 'kind' in error ? String(error.kind) : '');
