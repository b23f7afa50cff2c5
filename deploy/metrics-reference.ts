import { agentMetrics, observeAgent } from '../src/agent/agent-metrics.ts';
import { controllerMetrics } from '../src/controller/controller-metrics.ts';
import { electionMetrics } from '../src/controller/election-metrics.ts';
import { observeCaches, watchMetrics } from '../src/controller/watch-metrics.ts';
import { apiMetrics } from '../src/kube/api-metrics.ts';
import { createMetrics, type DescribedMetric } from '../src/observability/metrics.ts';
import { observeGates } from '../src/observability/serve-observability.ts';
import { createWebhookMetrics, observeKeys } from '../src/webhook/webhook-metrics.ts';

/** All metrics of the operator, as it registers them. */
export function operatorMetrics(): readonly DescribedMetric[] {
  const metrics = createMetrics();
  observeGates({ metrics, gates: () => [] });
  controllerMetrics(metrics);
  electionMetrics(metrics);
  watchMetrics(metrics);
  observeCaches(metrics, () => []);
  apiMetrics(metrics);
  createWebhookMetrics(metrics);
  observeKeys(metrics, () => undefined);
  return metrics.described();
}

/** All metrics of an agent. */
export function agentsMetrics(): readonly DescribedMetric[] {
  const metrics = createMetrics();
  observeGates({ metrics, gates: () => [] });
  agentMetrics(metrics);
  observeAgent(metrics, () => ({ pods: [], isSynchronized: false, leasedAddresses: 0, acceptedKeys: 0 }));
  return metrics.described();
}

const introduction = `<!-- Generated from the code by \`npm run generate\`. Do not edit. -->
# Metrics

What the two programs export at \`/metrics\`, beside Node's own (\`process_…\`, \`nodejs_…\`). [observability.md](observability.md)
says what they are good for. A label has one of the values that are listed, and \`Other\` for everything else; \`namespace\`
and \`budget\` are those of a ConnectionBudget.
`;

/** docs/metrics.md */
export function metricsReference(): string {
  return [
    introduction,
    ...section('The operator (controller and webhook)', operatorMetrics()),
    ...section('The agent', agentsMetrics()),
  ].join('\n');
}

function section(title: string, metrics: readonly DescribedMetric[]): readonly string[] {
  const rows = metrics.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map(row);
  return [`## ${title}`, '| Metric | Kind | Labels | Meaning |', '|---|---|---|---|', ...rows, ''];
}

const row = ({ name, kind, labels, help }: DescribedMetric): string =>
  `| \`${name}\` | ${kind} | ${labels.map(labelText).join('; ')} | ${help.replaceAll('|', '\\|')} |`;

const mostValues = 8;

function labelText({ name, values }: DescribedMetric['labels'][number]): string {
  if (values.length === 0) return name;
  const rest = values.length > mostValues ? ` and ${values.length - mostValues} more` : '';
  return `${name}: ${values.slice(0, mostValues).join(', ')}${rest}`;
}
