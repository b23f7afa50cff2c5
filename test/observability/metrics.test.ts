import { expect, test } from 'vitest';
import { createMetrics } from '../../src/observability/metrics.ts';

const definition = {
  name: 'connectionbudget_kube_errors_total',
  help: 'Failed calls.',
  labels: { kind: ['Conflict', 'Network'] },
} as const;

test('a label outside of its list is counted as Other', async () => {
  const metrics = createMetrics();
  const count = metrics.counter(definition);
  for (const kind of ['Conflict', 'Conflict', 'hostile-1', 'hostile-2']) count({ kind });
  count({ kind: 'Network' }, 5);
  const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith(definition.name));
  expect(lines).toEqual([
    'connectionbudget_kube_errors_total{kind="Conflict"} 2',
    'connectionbudget_kube_errors_total{kind="Other"} 2',
    'connectionbudget_kube_errors_total{kind="Network"} 5',
  ]);
});

test('gauges and histograms are written in the text format', async () => {
  const metrics = createMetrics();
  metrics.gauge({ name: 'connectionbudget_pods_matched', help: 'Pods.', labels: {} })({}, 4);
  const observe = metrics.histogram({
    name: 'connectionbudget_plan_seconds',
    help: 'Time to plan.',
    labels: {},
    buckets: [0.1, 1],
  });
  observe({}, 0.5);
  const text = await metrics.text();
  expect(text).toContain('connectionbudget_pods_matched 4');
  expect(text).toContain('connectionbudget_plan_seconds_bucket{le="0.1"} 0');
  expect(text).toContain('connectionbudget_plan_seconds_bucket{le="1"} 1');
  expect(text).toContain('nodejs_eventloop_lag_seconds');
});

test.each(['kube_errors', 'connectionbudget_', 'connectionbudget_Errors', 'connectionbudget__errors'])(
  'the name %s is refused',
  (name) => {
    expect(() => createMetrics().counter({ ...definition, name })).toThrow(name);
  },
);

test('a name cannot be used twice, and registries do not share names', () => {
  const metrics = createMetrics();
  metrics.counter(definition);
  expect(() => metrics.counter(definition)).toThrow(definition.name);
  expect(() => createMetrics().counter(definition)).not.toThrow();
});
