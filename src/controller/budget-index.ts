import type { LabelSelector } from '../api/flows.ts';
import { selects } from '../api/selector.ts';
import type { ClusterPod, StoredBudget } from './cluster.ts';
import { createGrouped } from './grouped.ts';
import { requiredLabels } from './required-labels.ts';

/** Valid budgets by what their selectors ask for, so that a pod finds its own without asking all of its namespace. */
export interface BudgetIndex {
  readonly put: (key: string, budget: StoredBudget) => void;
  readonly remove: (key: string) => void;
  /** Every budget one of whose selectors means the pod: its own, or that of a flow's clients. */
  readonly meaning: (pod: Pick<ClusterPod, 'namespace' | 'labels'>) => readonly StoredBudget[];
}

const selectorsOf = ({ parsed }: StoredBudget): readonly LabelSelector[] => {
  const spec = parsed.budget?.spec;
  return spec === undefined
    ? []
    : [spec.selector, ...spec.inbound.flatMap(({ clients }) => clients?.podSelector ?? [])];
};

/** Two labels that share a shelf are told apart by the selector. What requires no label is on the namespace's own. */
const shelfOf = (namespace: string, ...label: readonly string[]): string => `${namespace}\n${label.join('\n')}`;

export const createBudgetIndex = (): BudgetIndex => {
  const shelves = createGrouped<StoredBudget>();
  const shelvesByBudget = new Map<string, readonly string[]>();
  const remove = (key: string): void => {
    for (const shelf of shelvesByBudget.get(key) ?? []) shelves.remove(key, shelf);
    shelvesByBudget.delete(key);
  };
  /** Of the required labels the one that has the fewest budgets so far: a label that all share would not tell them apart. */
  const shelvesFor = (namespace: string, selector: LabelSelector): readonly string[] => {
    const choices = requiredLabels(selector).map(({ key, values }) => {
      const names = values.map((value) => shelfOf(namespace, key, value));
      return { names, filed: names.reduce((sum, name) => sum + shelves.count(name), 0) };
    });
    const [first = { names: [shelfOf(namespace)], filed: 0 }, ...others] = choices;
    return others.reduce((best, choice) => (choice.filed < best.filed ? choice : best), first).names;
  };
  return {
    remove,
    put: (key, budget) => {
      remove(key);
      const names = selectorsOf(budget).flatMap((selector) => shelvesFor(budget.namespace, selector));
      for (const name of names) shelves.put(key, name, budget);
      shelvesByBudget.set(key, names);
    },
    meaning: ({ namespace, labels }) => {
      const names = Object.entries(labels).map(([key, value]) => shelfOf(namespace, key, value));
      const found = new Set([...names, shelfOf(namespace)].flatMap((name) => [...shelves.in(name)]));
      return [...found].filter((budget) => selectorsOf(budget).some((selector) => selects(selector, labels)));
    },
  };
};
