import { readFile } from 'node:fs/promises';
import { agentsMetrics, operatorMetrics } from '../../deploy/metrics-reference.ts';

/** What Prometheus makes of one histogram. */
const histogramSeries = ['_bucket', '_sum', '_count'] as const;

/** Every name of a series that the two programs export. */
function exportedSeries(): ReadonlySet<string> {
  const metrics = [...operatorMetrics(), ...agentsMetrics()];
  return new Set(
    metrics.flatMap(({ name, kind }) =>
      kind === 'histogram' ? [name, ...histogramSeries.map((end) => `${name}${end}`)] : [name],
    ),
  );
}

/** Names of series in a text; one that ends in _ (`connectionbudget_budget_…`) stands for several. */
export const usedSeries = (text: string): readonly string[] =>
  [...new Set(text.match(/\bconnectionbudget_\w+/g))].filter((name) => !name.endsWith('_')).toSorted();

/** Those that no program exports. */
export function unknownSeries(text: string): readonly string[] {
  const known = exportedSeries();
  return usedSeries(text).filter((name) => !known.has(name));
}

export const textOf = (path: string): Promise<string> => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
