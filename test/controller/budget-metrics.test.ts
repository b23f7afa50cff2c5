import { expect, test } from 'vitest';
import { type BudgetFigures, createBudgetMetrics, figuresOf, mostNeedy } from '../../src/controller/budget-metrics.ts';
import { reconcile } from '../../src/controller/reconcile.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { budgetOf, hashFor, reportOf, situationOf, withPods } from './situations.ts';

const figures = (change: Partial<BudgetFigures> = {}): BudgetFigures => ({
  labels: '{namespace="messaging",budget="gateway"}',
  bindingLabels: undefined,
  ready: 'True',
  planned: 1000,
  reachable: 2000,
  fullestPod: undefined,
  allPods: undefined,
  peak: undefined,
  descriptorsRatio: undefined,
  ...change,
});

const shown = async (metrics: ReturnType<typeof createMetrics>): Promise<readonly string[]> =>
  [...(await metrics.text()).matchAll(/^connectionbudget_(budget.*)$/gm)].map(([, series = '']) => series);

const labels = '{namespace="messaging",budget="gateway"}';

test('a budget is told with its plan, its use and what is left', async () => {
  const metrics = createMetrics();
  const budgets = createBudgetMetrics(metrics);
  const hash = hashFor(situationOf());
  const outcome = reconcile(
    withPods(
      situationOf(),
      { report: reportOf(hash, { connections: 5000, usedPercent: 25 }) },
      { report: reportOf(hash, { connections: 7000, usedPercent: 35 }) },
    ),
  );

  budgets.seen('messaging/gateway', figuresOf(budgetOf(), outcome));

  // 20,000 declared and a tenth more; 22,000 - 7,000 = 15,000 left.
  expect(await shown(metrics)).toEqual([
    'budgets{ready="True"} 1',
    'budgets{ready="False"} 0',
    'budgets{ready="Unknown"} 0',
    'budgets_unlisted 0',
    'budgets_full 0',
    `budget_ready_status${labels} 1`,
    `budget_planned_connections${labels} 22000`,
    `budget_reachable_connections${labels} 1000000`,
    `budget_fullest_pod_connections${labels} 7000`,
    `budget_all_pods_connections${labels} 12000`,
    `budget_peak_connections${labels} 7000`,
    `budget_headroom_connections${labels} 15000`,
    `budget_used_descriptors_ratio${labels} 0.35`,
  ]);
});

test('a limit that binds is named, and what nobody knows has no series', async () => {
  const metrics = createMetrics();
  const budgets = createBudgetMetrics(metrics);
  const outcome = reconcile(
    situationOf({ budget: budgetOf({ inbound: [small], scale: { pods: 1, podsPerNode: 1 } }) }),
  );
  budgets.seen('messaging/gateway', figuresOf(budgetOf(), outcome));
  expect(await shown(metrics)).toContain(
    'budget_binding_limit_info{namespace="messaging",budget="gateway",stage="Clients",limit="ClientPorts"} 1',
  );
  expect((await shown(metrics)).filter((line) => line.startsWith('budget_headroom'))).toEqual([]);
});

/** One client address with 1,000 ports cannot make 20,000 connections. */
const small = { name: 'mqtt', port: 1883, connections: 20_000, clients: { addresses: 1, portsPerAddress: 1000 } };

test('the series of a budget go with it, and all of them with the leadership', async () => {
  const metrics = createMetrics();
  const budgets = createBudgetMetrics(metrics);
  for (const budget of ['a', 'b']) budgets.seen(budget, figures({ labels: `{budget="${budget}"}` }));
  budgets.gone('a');
  expect((await shown(metrics)).filter((line) => line.startsWith('budget_planned'))).toEqual([
    'budget_planned_connections{budget="b"} 1000',
  ]);
  budgets.retired();
  expect((await shown(metrics)).filter((line) => !line.endsWith(' 0'))).toEqual([]);
});

test('of more budgets than are listed the neediest are, and the rest is counted', async () => {
  const metrics = createMetrics();
  const budgets = createBudgetMetrics(metrics, 2);
  const row = (budget: string, change: Partial<BudgetFigures>): void =>
    budgets.seen(budget, figures({ labels: `{budget="${budget}"}`, ...change }));
  row('busy', { fullestPod: 500 });
  for (const idle of ['a', 'b', 'c']) row(idle, {});
  row('full', { fullestPod: 950 });
  row('broken', { ready: 'False' });
  const lines = await shown(metrics);
  expect(lines.filter((line) => line.startsWith('budget_planned')).toSorted()).toEqual([
    'budget_planned_connections{budget="broken"} 1000',
    'budget_planned_connections{budget="full"} 1000',
  ]);
  expect(lines).toEqual(expect.arrayContaining(['budgets_unlisted 4', 'budgets_full 1', 'budgets{ready="True"} 5']));

  budgets.gone('full');
  const later = (await shown(metrics)).filter((line) => line.startsWith('budget_planned'));
  expect(later).toEqual(['budget_planned_connections{budget="broken"} 1000']);
});

test('equal needs are chosen by who came first, and few are all chosen', () => {
  const all = new Map(['a', 'b', 'c'].map((key) => [key, figures()]));
  expect(mostNeedy(all, 2)).toEqual(['a', 'b']);
  expect(mostNeedy(all, 5)).toEqual(['a', 'b', 'c']);
});
