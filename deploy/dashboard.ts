/** The dashboard for Grafana: rows of panels, each a question that a cluster's owner asks. */

interface Query {
  readonly expr: string;
  /** The name of each line: {{label}} is replaced by its value. */
  readonly legend: string;
}

interface Panel {
  readonly title: string;
  /** As Grafana names it. */
  readonly unit: 'short' | 's' | 'percentunit' | 'ops' | 'bool_on_off';
  readonly queries: readonly Query[];
}

interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const budget = '{{namespace}}/{{budget}}';
const ofBudget = 'namespace=~"$namespace",budget=~"$budget"';
const p99 = (histogram: string, by: string): string =>
  `histogram_quantile(0.99, sum by (le, ${by}) (rate(${histogram}_bucket[5m])))`;

const rows: readonly Row[] = [
  {
    title: 'Budgets',
    panels: [
      {
        title: 'Budgets by Ready',
        unit: 'short',
        queries: [{ expr: 'sum by (ready) (connectionbudget_budgets)', legend: '{{ready}}' }],
      },
      {
        title: 'Connections of the fullest pod',
        unit: 'short',
        queries: [
          { expr: `connectionbudget_budget_fullest_pod_connections{${ofBudget}}`, legend: `${budget} used` },
          { expr: `connectionbudget_budget_planned_connections{${ofBudget}}`, legend: `${budget} planned` },
          { expr: `connectionbudget_budget_peak_connections{${ofBudget}}`, legend: `${budget} peak` },
          { expr: `connectionbudget_budget_reachable_connections{${ofBudget}}`, legend: `${budget} reachable` },
        ],
      },
      {
        title: 'Headroom of the fullest pod, use of all pods',
        unit: 'short',
        queries: [
          { expr: `connectionbudget_budget_headroom_connections{${ofBudget}}`, legend: `${budget} headroom` },
          { expr: `connectionbudget_budget_all_pods_connections{${ofBudget}}`, legend: `${budget} all pods` },
        ],
      },
      {
        title: 'Descriptors of the fullest process',
        unit: 'percentunit',
        queries: [{ expr: `connectionbudget_budget_used_descriptors_ratio{${ofBudget}}`, legend: budget }],
      },
      {
        title: 'Limits that bind',
        unit: 'short',
        queries: [
          {
            expr: `connectionbudget_budget_binding_limit_info{${ofBudget}}`,
            legend: `${budget} {{stage}} {{limit}}`,
          },
        ],
      },
      {
        title: 'Nearly full, and without series of their own',
        unit: 'short',
        queries: [
          { expr: 'sum(connectionbudget_budgets_full)', legend: 'nearly full' },
          { expr: 'sum(connectionbudget_budgets_unlisted)', legend: 'not listed' },
        ],
      },
    ],
  },
  {
    title: 'Webhook',
    panels: [
      {
        title: 'Requests by result',
        unit: 'ops',
        queries: [
          {
            expr: 'sum by (path, result) (rate(connectionbudget_webhook_requests_total[5m]))',
            legend: '{{path}} {{result}}',
          },
        ],
      },
      {
        title: 'Time to answer, p99, and requests in flight',
        unit: 's',
        queries: [
          { expr: p99('connectionbudget_webhook_request_seconds', 'path'), legend: '{{path}}' },
          { expr: 'sum(connectionbudget_webhook_in_flight_requests)', legend: 'in flight' },
        ],
      },
      {
        title: 'Certificate and signing key',
        unit: 's',
        queries: [
          {
            expr: 'min(connectionbudget_webhook_certificate_expiry_timestamp_seconds) - time()',
            legend: 'certificate expires in',
          },
          {
            expr: 'time() - min(connectionbudget_webhook_signing_key_created_timestamp_seconds)',
            legend: 'age of the signing key',
          },
        ],
      },
    ],
  },
  {
    title: 'Controller and API server',
    panels: [
      {
        title: 'Who leads',
        unit: 'bool_on_off',
        queries: [{ expr: 'connectionbudget_leader_info', legend: '{{pod}}' }],
      },
      {
        title: 'Queue',
        unit: 'short',
        queries: [
          { expr: 'sum(connectionbudget_queue_budgets)', legend: 'waiting' },
          { expr: 'sum(connectionbudget_queue_retrying_budgets)', legend: 'failed last' },
          { expr: 'max(connectionbudget_queue_oldest_seconds)', legend: 'seconds of the oldest' },
        ],
      },
      {
        title: 'Time of a call, p99',
        unit: 's',
        queries: [{ expr: p99('connectionbudget_api_request_duration_seconds', 'method'), legend: '{{method}}' }],
      },
      {
        title: 'Calls by outcome',
        unit: 'ops',
        queries: [{ expr: 'sum by (outcome) (rate(connectionbudget_api_requests_total[5m]))', legend: '{{outcome}}' }],
      },
      {
        title: 'Silence of watches',
        unit: 's',
        queries: [{ expr: 'max by (resource) (connectionbudget_watch_silence_seconds)', legend: '{{resource}}' }],
      },
    ],
  },
  {
    title: 'Agents',
    panels: [
      {
        title: 'Planned pods by what was seen',
        unit: 'short',
        queries: [{ expr: 'sum by (reason) (connectionbudget_planned_pods)', legend: '{{reason}}' }],
      },
      {
        title: 'Agents without a runtime, without a key',
        unit: 'short',
        queries: [
          { expr: 'count(connectionbudget_runtime_synchronized == 0) or vector(0)', legend: 'without a runtime' },
          { expr: 'count(connectionbudget_accepted_keys == 0) or vector(0)', legend: 'without a key' },
        ],
      },
      {
        title: 'Time to answer the runtime, p99',
        unit: 's',
        queries: [{ expr: p99('connectionbudget_runtime_event_duration_seconds', 'event'), legend: '{{event}}' }],
      },
      {
        title: 'Late repairs and errors',
        unit: 'ops',
        queries: [
          { expr: 'sum by (part) (rate(connectionbudget_late_repairs_total[5m]))', legend: 'late {{part}}' },
          { expr: 'sum by (kind) (rate(connectionbudget_agent_errors_total[5m]))', legend: '{{kind}}' },
        ],
      },
    ],
  },
];

const datasource = { type: 'prometheus', uid: '$datasource' } as const;
/** Of Grafana's 24 columns, three panels side by side. */
const width = 8;
const height = 8;

/** deploy/chart/dashboards/connectionbudget.json */
export function dashboardJson(): string {
  const dashboard = {
    title: 'ConnectionBudget',
    uid: 'connectionbudget',
    tags: ['connectionbudget'],
    schemaVersion: 39,
    editable: true,
    time: { from: 'now-6h', to: 'now' },
    refresh: '30s',
    templating: { list: [datasourceVariable, variable('namespace'), variable('budget')] },
    panels: panelsOf(rows),
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}

const datasourceVariable = { name: 'datasource', type: 'datasource', query: 'prometheus' } as const;

const variable = (name: 'namespace' | 'budget') => ({
  name,
  type: 'query',
  datasource,
  query: `label_values(connectionbudget_budget_planned_connections, ${name})`,
  multi: true,
  includeAll: true,
  refresh: 2,
});

function panelsOf(all: readonly Row[]): readonly object[] {
  let y = 0;
  let id = 0;
  return all.flatMap(({ title, panels }) => {
    const heading = { id: (id += 1), type: 'row', title, gridPos: { x: 0, y, w: 24, h: 1 } };
    const top = y + 1;
    y = top + Math.ceil(panels.length / 3) * height;
    const placed = panels.map((panel, index) => {
      const gridPos = { x: (index % 3) * width, y: top + Math.floor(index / 3) * height, w: width, h: height };
      return panelJson(panel, { id: (id += 1), gridPos });
    });
    return [heading, ...placed];
  });
}

const panelJson = ({ title, unit, queries }: Panel, place: object): object => ({
  ...place,
  type: 'timeseries',
  title,
  datasource,
  fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
  targets: queries.map(({ expr, legend }, index) => ({
    refId: String.fromCharCode(65 + index),
    datasource,
    expr,
    legendFormat: legend,
  })),
});
