import { expect, test } from 'vitest';
import { agentMetrics } from '../../src/agent/agent-metrics.ts';
import { createMetrics } from '../../src/observability/metrics.ts';

test('what looking costs, and by what flows are counted, is seen from outside', async () => {
  const registry = createMetrics({ eventLoopMonitoringPrecision: 100 });
  const metrics = agentMetrics(registry);
  const round = { pods: 2, cpuMs: 540, waitMs: 60_000, reason: undefined };
  metrics.countLooking('Totals', 15);
  metrics.seeFlowRound({ ...round, source: 'Iterator' });
  metrics.seeFlowRound({ ...round, source: 'SockDiag' });
  const lines = (await registry.text()).split('\n').filter((line) => /^connectionbudget_(observe|flow)/.test(line));
  expect(lines).toEqual([
    'connectionbudget_observe_cpu_seconds_total{of="Totals"} 0.015',
    'connectionbudget_observe_cpu_seconds_total{of="Flows"} 1.08',
    'connectionbudget_flow_pass_seconds 0.54',
    'connectionbudget_flow_pass_wait_seconds 60',
    'connectionbudget_flow_source{source="Iterator"} 0',
    'connectionbudget_flow_source{source="SockDiag"} 1',
    'connectionbudget_flow_source{source="None"} 0',
  ]);
});
