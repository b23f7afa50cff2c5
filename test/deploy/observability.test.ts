import { beforeAll, expect, test } from 'vitest';
import { dashboardJson } from '../../deploy/dashboard.ts';
import { at, find, type Manifest, render, setUpTimeoutMs } from './chart-setting.ts';
import { textOf, unknownSeries, usedSeries } from './metric-use.ts';

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook_url: string };
}

const runbooks = 'https://example.com/observability';
let manifests: readonly Manifest[];
let alerts: readonly Alert[];
let page: string;

beforeAll(async () => {
  manifests = await render({
    'monitoring.prometheusRule.enabled': true,
    'monitoring.prometheusRule.runbooks': runbooks,
    'monitoring.podMonitor.enabled': true,
    'monitoring.dashboard.enabled': true,
  });
  alerts = at(find(manifests, 'PrometheusRule', 'connectionbudget'), 'spec.groups.0.rules') as readonly Alert[];
  page = await textOf('docs/observability.md');
}, setUpTimeoutMs);

test('alerts, dashboard and pages ask for metrics that the programs export', async () => {
  const reference = await textOf('docs/metrics.md');
  const texts = [JSON.stringify(alerts), dashboardJson(), page, reference];
  expect(texts.map(unknownSeries)).toEqual([[], [], [], []]);
  expect(texts.map((text) => usedSeries(text).length > 15)).toEqual([true, true, true, true]);
});

test('a planted name that nobody exports is caught', () => {
  expect(unknownSeries('rate(connectionbudget_budgts_total[5m]) > connectionbudget_budgets_full')).toEqual([
    'connectionbudget_budgts_total',
  ]);
  expect(unknownSeries('connectionbudget_leader_info_bucket')).toEqual(['connectionbudget_leader_info_bucket']);
  expect(unknownSeries('connectionbudget_webhook_request_seconds_bucket')).toEqual([]);
});

test('every alert has its section on the page, and nothing else has', () => {
  const sections = [...page.matchAll(/^### (ConnectionBudget\w+)$/gm)].map(([, name = '']) => name);
  expect(sections.toSorted()).toEqual(alerts.map(({ alert }) => alert).toSorted());
  expect(alerts.map(({ annotations }) => annotations.runbook_url)).toEqual(
    alerts.map(({ alert }) => `${runbooks}#${alert.toLowerCase()}`),
  );
  expect(alerts.filter(({ annotations }) => annotations.summary === '' || annotations.description === '')).toEqual([]);
});

test('the chart has none of it unless asked', async () => {
  const kinds = (await render()).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
  expect(kinds.filter((name) => /PrometheusRule|PodMonitor|dashboard/.test(name))).toEqual([]);
});

test('Grafana finds the dashboard by its label, and Prometheus both programs by theirs', () => {
  const dashboard = find(manifests, 'ConfigMap', 'connectionbudget-dashboard');
  const monitor = find(manifests, 'PodMonitor', 'connectionbudget');
  const selected = at(monitor, 'spec.selector.matchLabels') as Readonly<Record<string, string>>;
  const templates = [
    find(manifests, 'Deployment', 'connectionbudget-controller'),
    find(manifests, 'DaemonSet', 'connectionbudget-agent'),
  ].map((workload) => at(workload, 'spec.template'));

  expect(at(dashboard, 'metadata.labels.grafana_dashboard')).toBe('1');
  expect((dashboard as { readonly data?: object } & Manifest).data).toEqual({
    'connectionbudget.json': dashboardJson(),
  });
  expect(templates.map((template) => at(template, 'metadata.labels'))).toEqual(
    templates.map(() => expect.objectContaining(selected)),
  );
  const ports = templates.map((template) => at(template, 'spec.containers.0.ports') as readonly { name: string }[]);
  expect(ports.map((names) => names.some(({ name }) => name === 'metrics'))).toEqual([true, true]);
  expect(at(monitor, 'spec.podMetricsEndpoints.0')).toMatchObject({ port: 'metrics', honorLabels: true });
});
