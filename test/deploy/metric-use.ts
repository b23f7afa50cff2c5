import { readFile } from 'node:fs/promises';
import { agentsMetrics, operatorMetrics } from '../../deploy/metrics-reference.ts';

/** What Prometheus makes of one histogram. */
const histogramSeries = ['_bucket', '_sum', '_count'] as const;

/** Every name of a series that the two programs export. */
export function exportedSeries(): ReadonlySet<string> {
  const metrics = [...operatorMetrics(), ...agentsMetrics()];
  return new Set(
    metrics.flatMap(({ name, kind }) =>
      kind === 'histogram' ? [name, ...histogramSeries.map((end) => `${name}${end}`)] : [name],
    ),
  );
}

/** Names in a text that no program exports; one that ends in _ (`connectionbudget_budget_…`) stands for several. */
export function unknownSeries(text: string): readonly string[] {
  const known = exportedSeries();
  const used = text.match(/\bconnectionbudget_\w+/g) ?? [];
  return [...new Set(used)].filter((name) => !known.has(name) && !name.endsWith('_')).toSorted();
}

export const textOf = (path: string): Promise<string> => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
