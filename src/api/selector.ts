import type { ConnectionBudget } from './budget-object.ts';
import type { LabelSelector } from './flows.ts';

/** Which pods a budget is for, and which budget a pod has. */

export type Labels = Readonly<Record<string, string | undefined>>;

type Expression = NonNullable<LabelSelector['matchExpressions']>[number];

const holdsBy: Record<Expression['operator'], (value: string | undefined, values: readonly string[]) => boolean> = {
  In: (value, values) => value !== undefined && values.includes(value),
  NotIn: (value, values) => value === undefined || !values.includes(value),
  Exists: (value) => value !== undefined,
  DoesNotExist: (value) => value === undefined,
};

/** A label may be called "constructor": only its own ones are an object's labels. */
const labelOf = (labels: Labels, key: string): string | undefined =>
  Object.hasOwn(labels, key) ? labels[key] : undefined;

/** A Kubernetes label selector: all labels and all expressions must hold (apimachinery, labels/selector.go). */
export const selects = ({ matchLabels = {}, matchExpressions = [] }: LabelSelector, labels: Labels): boolean =>
  Object.entries(matchLabels).every(([key, value]) => labelOf(labels, key) === value) &&
  matchExpressions.every(({ key, operator, values = [] }) => holdsBy[operator](labelOf(labels, key), values));

/** RFC 3339 in UTC with whole seconds, as the API server writes it, orders as text. */
const olderFirst = (a: ConnectionBudget, b: ConnectionBudget): number =>
  a.creationTimestamp === b.creationTimestamp
    ? Number(a.name > b.name) - Number(a.name < b.name)
    : Number(a.creationTimestamp > b.creationTimestamp) - Number(a.creationTimestamp < b.creationTimestamp);

/** The budgets of one namespace that select a pod, the one that wins first: the older, then by name. */
export const budgetsSelecting = (budgets: readonly ConnectionBudget[], labels: Labels): readonly ConnectionBudget[] =>
  budgets.filter(({ spec }) => selects(spec.selector, labels)).toSorted(olderFirst);

export const winningBudget = (budgets: readonly ConnectionBudget[], labels: Labels): ConnectionBudget | undefined =>
  budgetsSelecting(budgets, labels)[0];
