import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createBudgetIndex } from '../../src/controller/budget-index.ts';
import type { StoredBudget } from '../../src/controller/cluster.ts';
import { createPodIndex } from '../../src/controller/pod-index.ts';
import { selects, winningBudget } from '../../src/api/selector.ts';
import { clusterPod, stored } from './cluster-objects.ts';
import { budgetOf } from './situations.ts';

const key = fc.constantFrom('app', 'tier', 'team', 'constructor');
const value = fc.constantFrom('a', 'b', 'c');
const someLabels = fc.dictionary(key, value, { maxKeys: 3 });
const namespace = fc.constantFrom('messaging', 'shop');
const expression = fc.oneof(
  fc.record({
    key,
    operator: fc.constantFrom('In' as const, 'NotIn' as const),
    values: fc.array(value, { minLength: 1, maxLength: 2 }),
  }),
  fc.record({ key, operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const) }),
);
const selector = fc
  .record({
    matchLabels: fc.dictionary(key, value, { maxKeys: 2 }),
    matchExpressions: fc.array(expression, { maxLength: 2 }),
  })
  .filter(({ matchLabels, matchExpressions }) => Object.keys(matchLabels).length + matchExpressions.length > 0);
const names = fc.integer({ min: 0, max: 5 }).map((number) => `name-${number}`);

/** Objects that came, changed and went; the last of each name is what is there. */
const changes = <T>(of: fc.Arbitrary<T>) => fc.array(fc.tuple(names, fc.option(of)), { maxLength: 30 });

test('the pod index finds the pods that the selector selects, whatever came, changed and went', () => {
  const pod = fc.record({ namespace, labels: someLabels });
  fc.assert(
    fc.property(changes(pod), changes(pod), fc.array(selector, { maxLength: 4 }), (before, after, selectors) => {
      const index = createPodIndex();
      const present = new Map<string, ReturnType<typeof clusterPod>>();
      const follow = (steps: typeof before): void => {
        for (const [name, change] of steps) {
          const previous = present.get(name);
          if (previous !== undefined && previous.namespace !== change?.namespace) index.remove(name, previous);
          present.delete(name);
          if (change === null) continue;
          present.set(name, clusterPod(name, change));
          index.put(name, present.get(name)!);
        }
      };
      const found = (space: string) => selectors.map((one) => new Set(index.selected(space, one)));
      const expected = (space: string) =>
        selectors.map(
          (one) => new Set([...present.values()].filter((p) => p.namespace === space && selects(one, p.labels))),
        );
      for (const steps of [before, after]) {
        follow(steps);
        for (const space of ['messaging', 'shop']) expect(found(space)).toEqual(expected(space));
      }
    }),
  );
});

const means = ({ parsed }: StoredBudget, labels: Readonly<Record<string, string>>): boolean =>
  [parsed.budget!.spec.selector, ...parsed.budget!.spec.inbound.map(({ clients }) => clients?.podSelector)]
    .filter((each) => each !== undefined)
    .some((each) => selects(each, labels));

test('the budget index finds every budget one of whose selectors means the pod, and none twice', () => {
  const budget = fc.record({ namespace, selector, clients: fc.option(selector) });
  fc.assert(
    fc.property(changes(budget), fc.array(someLabels, { minLength: 1, maxLength: 4 }), (steps, pods) => {
      const index = createBudgetIndex();
      const present = new Map<string, ReturnType<typeof stored>>();
      for (const [name, change] of steps) {
        present.delete(name);
        if (change === null) {
          index.remove(name);
          continue;
        }
        const clients = change.clients === null ? {} : { clients: { podSelector: change.clients } };
        const inbound = [{ name: 'mqtt', port: 1883, connections: 10, ...clients }];
        const spec = { selector: change.selector, inbound };
        present.set(name, stored(budgetOf(spec, { name, namespace: change.namespace })));
        index.put(name, present.get(name)!);
      }
      for (const pod of pods) {
        const found = index.meaning({ namespace: 'shop', labels: pod });
        const expected = [...present.values()].filter((one) => one.namespace === 'shop' && means(one, pod));
        expect(found.map(({ name }) => name).toSorted()).toEqual(expected.map(({ name }) => name).toSorted());
      }
    }),
  );
});

test('the budget that wins among those found is the one that wins among all of the namespace', () => {
  const budget = fc.record({ selector, age: fc.integer({ min: 10, max: 12 }) });
  fc.assert(
    fc.property(fc.array(budget, { maxLength: 8 }), someLabels, (rows, labels) => {
      const index = createBudgetIndex();
      const all = rows.map((row, at) => ({
        ...budgetOf({ selector: row.selector }, { name: `name-${at}` }),
        creationTimestamp: `2026-11-23T12:00:${row.age}Z`,
      }));
      for (const one of all) index.put(one.name, stored(one));
      const found = index.meaning({ namespace: all[0]?.namespace ?? '', labels }).map(({ parsed }) => parsed.budget!);
      expect(winningBudget(found, labels)).toBe(winningBudget(all, labels));
    }),
  );
});
