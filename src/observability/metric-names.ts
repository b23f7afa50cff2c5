/** The rules that `promtool check metrics` has for names, and ours: connectionbudget_NOUN_UNIT. */

export type MetricKind = 'counter' | 'gauge' | 'histogram';

const namePattern = /^connectionbudget_[a-z0-9]+(_[a-z0-9]+)*$/u;
/** They say of which kind a series is: https://prometheus.io/docs/practices/naming and the OpenMetrics text format. */
const reserved = ['_total', '_count', '_sum', '_bucket'] as const;
/** Prometheus wants base units. */
const foreignUnits = ['milliseconds', 'ms', 'minutes', 'hours', 'kilobytes', 'megabytes', 'mib', 'percent'] as const;
const histogramUnits = ['_seconds', '_bytes'] as const;

const endsIn = (name: string, ends: readonly string[]): string | undefined => ends.find((end) => name.endsWith(end));

/** What is wrong with a name; undefined: nothing. */
export function faultOfName(name: string, kind: MetricKind): string | undefined {
  if (!namePattern.test(name)) return 'is not connectionbudget_NOUN_UNIT';
  const foreign = name.split('_').find((word) => foreignUnits.some((unit) => unit === word));
  if (foreign !== undefined) return `has ${foreign}, which is no base unit`;
  if (kind === 'counter') return name.endsWith('_total') ? undefined : 'is of a counter and must end in _total';
  const end = endsIn(name, reserved);
  if (end !== undefined) return `is of a ${kind} and must not end in ${end}`;
  const needsUnit = kind === 'histogram' && endsIn(name, histogramUnits) === undefined;
  return needsUnit ? `is of a histogram and must end in ${histogramUnits.join(' or ')}` : undefined;
}
