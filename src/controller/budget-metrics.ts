import type { BindingLimit, ConnectionBudgetStatus } from '../api/budget-status.ts';
import type { ConditionStatus } from '../api/conditions.ts';
import { labelText, type TableRow } from '../observability/metric-tables.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { StoredBudget } from './cluster.ts';
import type { Outcome } from './reconcile.ts';

/** What is shown of one budget, in connections per pod unless its name says otherwise; undefined: not known. */
export interface BudgetFigures {
  /** Of namespace and budget, and the same with what binds. */
  readonly labels: string;
  readonly bindingLabels: string | undefined;
  readonly ready: ConditionStatus;
  readonly planned: number | undefined;
  readonly reachable: number | undefined;
  readonly fullestPod: number | undefined;
  readonly allPods: number | undefined;
  readonly peak: number | undefined;
  readonly descriptorsRatio: number | undefined;
}

const readyOf = ({ conditions }: ConnectionBudgetStatus): ConditionStatus =>
  conditions.find(({ type }) => type === 'Ready')?.status ?? 'Unknown';

const bindingText = (budget: object, { stage, limit }: BindingLimit): string => labelText({ ...budget, stage, limit });

export const figuresOf = (
  { namespace, name }: Pick<StoredBudget, 'namespace' | 'name'>,
  { status, usageNow }: Pick<Outcome, 'status' | 'usageNow'>,
): BudgetFigures => {
  const budget = { namespace, budget: name };
  const { plan, bindingLimit, usage } = status;
  const { fullestPod, allPods, descriptorsPercent } = usageNow;
  return {
    labels: labelText(budget),
    bindingLabels: bindingLimit === undefined ? undefined : bindingText(budget, bindingLimit),
    ready: readyOf(status),
    planned: plan?.plannedConnections,
    reachable: plan?.reachableConnections,
    fullestPod,
    allPods,
    peak: usage?.peakConnections === undefined ? fullestPod : Math.max(usage.peakConnections, fullestPod ?? 0),
    descriptorsRatio: descriptorsPercent === undefined ? undefined : descriptorsPercent / 100,
  };
};

const usedShare = ({ planned, fullestPod, descriptorsRatio = 0 }: BudgetFigures): number =>
  Math.max(descriptorsRatio, planned === undefined || planned === 0 ? 0 : (fullestPod ?? 0) / planned);

/** What is not Ready comes first, then what has the least left: 2.95 before 2.1 before 0.95. */
const needOf = (figures: BudgetFigures): number => (figures.ready === 'False' ? 2 : 0) + usedShare(figures);

/** The keys of the `most` that need it most; of equal ones those that were seen first. */
export const mostNeedy = (all: ReadonlyMap<string, BudgetFigures>, most: number): readonly string[] => {
  const least = Float64Array.from(all.values(), needOf).toSorted().at(-most) ?? -Infinity;
  const keysWhere = (is: (need: number) => boolean): readonly string[] =>
    [...all].flatMap(([key, figures]) => (is(needOf(figures)) ? [key] : []));
  return [...keysWhere((need) => need > least), ...keysWhere((need) => need === least)].slice(0, most);
};

const headroomOf = ({ planned, fullestPod }: BudgetFigures): number | undefined =>
  planned === undefined || fullestPod === undefined ? undefined : planned - fullestPod;

const readyNumber = ({ ready }: BudgetFigures): number | undefined =>
  ready === 'Unknown' ? undefined : Number(ready === 'True');

interface Series {
  readonly name: string;
  readonly help: string;
  readonly value: (figures: BudgetFigures) => number | undefined;
}

const series: readonly Series[] = [
  { name: 'ready_status', help: '1 Ready, 0 not Ready; no series while that is unknown.', value: readyNumber },
  { name: 'planned_connections', help: 'Planned per pod, with headroom.', value: ({ planned }) => planned },
  { name: 'reachable_connections', help: 'Per pod, what fits all known limits.', value: ({ reachable }) => reachable },
  { name: 'fullest_pod_connections', help: 'Used by the fullest pod.', value: ({ fullestPod }) => fullestPod },
  { name: 'all_pods_connections', help: 'Used by all pods together.', value: ({ allPods }) => allPods },
  { name: 'peak_connections', help: 'Most that one pod used under this spec.', value: ({ peak }) => peak },
  { name: 'headroom_connections', help: 'Planned, less what the fullest pod uses.', value: headroomOf },
  {
    name: 'used_descriptors_ratio',
    help: 'Descriptors of the fullest process over its soft limit.',
    value: ({ descriptorsRatio }) => descriptorsRatio,
  },
];

/** How many budgets have series of their own: nine each, so that one scrape has 9,000 lines at most. */
const mostListed = 1000;
/** Beyond that the choice stands for a while, so that series do not come and go with every scrape. */
const choiceLastsMs = 60_000;
/** Agents tell the share in steps of 5 %. */
const fullRatio = 0.9;

export interface BudgetMetrics {
  readonly seen: (key: string, figures: BudgetFigures) => void;
  readonly gone: (key: string) => void;
  /** Nobody leads here any more: what only a leader knows is told by another. */
  readonly retired: () => void;
}

export const createBudgetMetrics = (metrics: Metrics, most = mostListed): BudgetMetrics => {
  const all = new Map<string, BudgetFigures>();
  const listed = listing(all, most);
  for (const { name, help, value } of series)
    metrics.table({
      name: `connectionbudget_budget_${name}`,
      help,
      labels: ['namespace', 'budget'],
      rows: () => rowsOf(listed(), ({ labels }) => labels, value),
    });
  metrics.table({
    name: 'connectionbudget_budget_binding_limit_info',
    help: 'The limit that binds; no series where the plan fits.',
    labels: ['namespace', 'budget', 'stage', 'limit'],
    rows: () =>
      rowsOf(
        listed(),
        ({ bindingLabels }) => bindingLabels,
        () => 1,
      ),
  });
  countAll(metrics, all, most);
  return {
    seen: (key, figures) => all.set(key, figures),
    gone: (key) => all.delete(key),
    retired: () => all.clear(),
  };
};

/** The budgets that have series of their own; a choice among them stands for a while, and a deleted one leaves at once. */
const listing = (all: ReadonlyMap<string, BudgetFigures>, most: number): (() => Iterable<BudgetFigures>) => {
  let chosen: readonly string[] = [];
  let chosenAtMs = -Infinity;
  return () => {
    if (all.size <= most) return all.values();
    if (performance.now() - chosenAtMs > choiceLastsMs) {
      chosen = mostNeedy(all, most);
      chosenAtMs = performance.now();
    }
    return chosen.flatMap((key) => all.get(key) ?? []);
  };
};

function* rowsOf(
  listed: Iterable<BudgetFigures>,
  labelsOf: (figures: BudgetFigures) => string | undefined,
  valueOf: Series['value'],
): Iterable<TableRow> {
  for (const figures of listed) {
    const labels = labelsOf(figures);
    const value = valueOf(figures);
    if (labels !== undefined && value !== undefined) yield [labels, value];
  }
}

const readyStates = ['True', 'False', 'Unknown'] as const;

const one = (value: number) => [{ labels: {}, value }];

/** What holds for all budgets, also for those that have no series of their own. */
const countAll = (metrics: Metrics, all: ReadonlyMap<string, BudgetFigures>, most: number): void => {
  metrics.observedGauge(
    {
      name: 'connectionbudget_budgets',
      help: 'Budgets by the status of their condition Ready.',
      labels: { ready: readyStates },
    },
    () => {
      const counts = { True: 0, False: 0, Unknown: 0 };
      for (const { ready } of all.values()) counts[ready] += 1;
      return readyStates.map((ready) => ({ labels: { ready }, value: counts[ready] }));
    },
  );
  metrics.observedGauge(
    {
      name: 'connectionbudget_budgets_unlisted',
      help: `Budgets beyond the first ${most} by need: they have no series of their own.`,
      labels: {},
    },
    () => one(Math.max(0, all.size - most)),
  );
  metrics.observedGauge(
    {
      name: 'connectionbudget_budgets_full',
      help: `Budgets whose fullest pod uses ${fullRatio * 100} % of its plan or of its descriptors.`,
      labels: {},
    },
    () => one([...all.values()].filter((figures) => usedShare(figures) >= fullRatio).length),
  );
};
