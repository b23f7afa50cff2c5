import { expect, test } from 'vitest';
import { affectedBudgets } from '../../src/controller/affected.ts';
import type { ClusterPod, StoredBudget } from '../../src/controller/cluster.ts';
import { clusterPod, selecting, stored } from './cluster-objects.ts';
import { budgetOf, reportOf, roomyNode } from './situations.ts';

const budgetFor = (app: string, spec: object = {}): StoredBudget =>
  stored(budgetOf({ selector: { matchLabels: { app } }, ...spec }, { name: app }));
const podFor = (app: string, change: Partial<ClusterPod> = {}): ClusterPod =>
  clusterPod(`${app}-1`, { labels: { app }, nodeName: `node-of-${app}`, ...change });

const apps = ['a', 'b', 'c'];
const inbound = [{ name: 'in', port: 1, connections: 1, clients: { podSelector: { matchLabels: { app: 'a' } } } }];
const budgets = [...apps.map((app) => budgetFor(app)), budgetFor('server-of-a', { inbound })];
const pods = [...apps, 'server-of-a'].map((app) => podFor(app));

const setting = ({ leastFactsChanged = false, rivals = [] as readonly StoredBudget[] } = {}) => {
  const touched = new Set<string>();
  const all = [...budgets, ...rivals];
  const affected = affectedBudgets({
    cluster: {
      ...selecting({ budgets: all, pods }),
      budgetKeys: () => all.map(({ namespace, name }) => `${namespace}/${name}`),
    },
    pod: (key) => pods.find(({ namespace, name }) => `${namespace}/${name}` === key),
    podsOn: (node) => pods.filter(({ nodeName }) => nodeName === node),
    budgetsOfService: () => [],
    leastFactsChanged: () => leastFactsChanged,
    touched: (key) => touched.add(key),
  });
  return { affected, touched: () => [...touched].map((key) => key.replace('messaging/', '')).toSorted() };
};

test('a pod concerns the budget that selects it and those whose clients it is', () => {
  const { affected, touched } = setting();
  affected.byPod(podFor('b'));
  expect(touched()).toEqual(['b']);
  affected.byPod(podFor('a'));
  expect(touched()).toEqual(['a', 'b', 'server-of-a']);
});

test('another spec concerns the budgets of the pods that it selects or selected, another status nobody else', () => {
  const rival = { ...budgetFor('rival', { selector: { matchLabels: { app: 'c' } } }), generation: 2 };
  const before = { ...rival, ...budgetFor('rival', { selector: { matchLabels: { app: 'b' } } }), generation: 1 };
  const { affected, touched } = setting({ rivals: [rival] });
  affected.byBudget('messaging/rival', rival, rival);
  expect(touched()).toEqual(['rival']);
  affected.byBudget('messaging/rival', rival, before);
  expect(touched()).toEqual(['b', 'c', 'rival']);
});

test('a budget whose clients are the pods of another is not concerned by that one’s spec', () => {
  const { affected, touched } = setting();
  affected.byBudget('messaging/a', budgetFor('a'), undefined);
  expect(touched()).toEqual(['a']);
});

test('a node concerns the budgets of its pods, and all of them where the least that nodes offer became another', () => {
  const one = setting();
  one.affected.byNode('node-of-c');
  expect(one.touched()).toEqual(['c']);
  const all = setting({ leastFactsChanged: true });
  all.affected.byNode('node-of-c');
  expect(all.touched()).toEqual(['a', 'b', 'c', 'server-of-a']);
});

const report = (app: string, change: object = {}) =>
  reportOf('0123456789abcdef', { name: `${app}-1`, uid: `uid-of-${app}`, ...change });

test('of an agent’s reports those concern somebody that came, went or changed', () => {
  const before = { facts: roomyNode, pods: ['b', 'c', 'server-of-a'].map((app) => report(app)) };
  const { affected, touched } = setting();
  affected.byConnectionNode('node', { ...before, pods: [...before.pods] }, before);
  expect(touched()).toEqual([]);
  affected.byConnectionNode('node', { ...before, pods: [report('b'), report('c', { verified: false })] }, before);
  expect(touched()).toEqual(['c', 'server-of-a']);
});
