import { expect, test } from 'vitest';
import { labelText, type TableRow } from '../../src/observability/metric-tables.ts';
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
    'connectionbudget_kube_errors_total{kind="Network"} 5',
    'connectionbudget_kube_errors_total{kind="Other"} 2',
  ]);
});

test('a counter of few series begins at 0 in each, one of many has those that were counted', async () => {
  const metrics = createMetrics();
  const many = { path: Array.from({ length: 20 }, (_, index) => `path-${index}`), result: ['Yes', 'No'] };
  metrics.counter({ ...definition, labels: { path: ['pods', 'budgets'], result: ['Yes', 'No'] } });
  metrics.counter({ ...definition, name: 'connectionbudget_many_total', labels: many })({
    path: 'path-7',
    result: 'No',
  });
  expect((await metrics.text()).match(/^connectionbudget_.*$/gm)).toEqual([
    'connectionbudget_kube_errors_total{path="pods",result="Yes"} 0',
    'connectionbudget_kube_errors_total{path="pods",result="No"} 0',
    'connectionbudget_kube_errors_total{path="budgets",result="Yes"} 0',
    'connectionbudget_kube_errors_total{path="budgets",result="No"} 0',
    'connectionbudget_many_total{path="path-7",result="No"} 1',
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

test('a gauge that is read is read at each scrape', async () => {
  const metrics = createMetrics();
  let depth = 1;
  const waiting = { name: 'connectionbudget_queue_budgets', help: 'Waiting.', labels: {} };
  metrics.observedGauge(waiting, () => [{ labels: {}, value: depth }]);
  expect(await metrics.text()).toContain('connectionbudget_queue_budgets 1\n');
  depth = 2;
  expect(await metrics.text()).toContain('connectionbudget_queue_budgets 2\n');
});

test('a table has a series for each row, gone with its row, and hostile values are escaped', async () => {
  const metrics = createMetrics();
  let rows: readonly TableRow[] = [[labelText({ budget: 'a"\\\n' }), 3]];
  metrics.table({ name: 'connectionbudget_peak_connections', help: 'Peak.', labels: ['budget'], rows: () => rows });
  const series = async () => (await metrics.text()).match(/^connectionbudget_peak.*$/gm);
  expect(await series()).toEqual(['connectionbudget_peak_connections{budget="a\\"\\\\\\n"} 3']);
  rows = [];
  expect(await series()).toBeNull();
});

test.each([
  ['counter', 'kube_errors_total', 'is not connectionbudget_NOUN_UNIT'],
  ['counter', 'connectionbudget_', 'is not connectionbudget_NOUN_UNIT'],
  ['counter', 'connectionbudget_Errors_total', 'is not connectionbudget_NOUN_UNIT'],
  ['counter', 'connectionbudget__errors_total', 'is not connectionbudget_NOUN_UNIT'],
  ['counter', 'connectionbudget_errors', 'must end in _total'],
  ['gauge', 'connectionbudget_errors_total', 'must not end in _total'],
  ['gauge', 'connectionbudget_budgets_count', 'must not end in _count'],
  ['gauge', 'connectionbudget_age_ms', 'has ms, which is no base unit'],
  ['gauge', 'connectionbudget_used_percent', 'has percent, which is no base unit'],
  ['histogram', 'connectionbudget_latency', 'must end in _seconds or _bytes'],
] as const)('a %s is not called %s', (kind, name, rule) => {
  const metrics = createMetrics();
  const metric = { name, help: 'Wrong.', labels: {}, buckets: [1] };
  expect(() => metrics[kind](metric)).toThrow(`the metric name ${name} `);
  expect(() => metrics[kind](metric)).toThrow(rule);
});

test('what is registered is described, in its order', () => {
  const metrics = createMetrics();
  metrics.counter(definition);
  metrics.table({ name: 'connectionbudget_a', help: 'A.', labels: ['budget'], rows: () => [] });
  expect(metrics.described()).toEqual([
    {
      name: definition.name,
      kind: 'counter',
      help: definition.help,
      labels: [{ name: 'kind', values: ['Conflict', 'Network'] }],
    },
    { name: 'connectionbudget_a', kind: 'gauge', help: 'A.', labels: [{ name: 'budget', values: [] }] },
  ]);
});

test('a name cannot be used twice, and registries do not share names', () => {
  const metrics = createMetrics();
  metrics.counter(definition);
  expect(() => metrics.counter(definition)).toThrow(definition.name);
  expect(() => createMetrics().counter(definition)).not.toThrow();
});
