import { expect, test } from 'vitest';
import { connectionBudgetStatus } from '../../src/api/budget-status.ts';
import { connectionNodeStatus } from '../../src/api/connection-node.ts';
import { budgets, connectionNodes, type CustomObject } from '../../src/controller/resources.ts';
import type { Resource } from '../../src/kube/resources.ts';
import { reconcile } from '../../src/controller/reconcile.ts';
import { brokerSeen, toService } from '../controller/condition-rows.ts';
import { budgetOf, reportOf, situationOf } from '../controller/situations.ts';
import { call, createBudget, createNamespace, createNode, useControllerSetting } from './controller-setting.ts';

const setting = useControllerSetting();

const observed = brokerSeen(new Map([[1883, 3]]));
const spec = {
  ...toService({ reachedBy: 'Endpoints' }),
  inbound: [{ name: 'mqtt', port: 11_883, connections: 20_000, peakOpensPerSecond: 9000, listen: { backlog: 16_384 } }],
};
const { status } = reconcile(situationOf({ budget: budgetOf(spec), observed }));
const plan = status.plan!;

const agent = { version: '0.1.0', runtime: 'containerd', connected: true, canRaiseNofile: true, keyIds: ['k1'] };
const node = { facts: {}, agent, pods: [reportOf('0123456789abcdef')] };

interface Applied {
  readonly resource: Resource<CustomObject>;
  readonly namespace?: string;
  readonly fieldManager: string;
}

/** The status that is stored after one was applied and then another. */
async function storedAfter({ fieldManager, ...kind }: Applied, statuses: readonly object[]): Promise<unknown> {
  const target = { ...kind, name: 'gateway', subresource: 'status' } as const;
  for (const one of statuses) await setting.client.apply(target, { status: one }, { ...call, fieldManager });
  return (await setting.client.get({ ...kind, name: 'gateway' }, call)).status;
}

const listsIn = (value: unknown): number => (JSON.stringify(value).match(/\[\{|\["/g) ?? []).length;

test('every list of the two statuses has a row here', () => {
  expect(listsIn(status)).toBe(4);
  expect(listsIn(node)).toBe(2);
});

test.each([
  { list: 'conditions', without: { ...status, conditions: [] } },
  { list: 'plan.containers', without: { ...status, plan: { ...plan, containers: [] } } },
  { list: 'plan.sysctls', without: { ...status, plan: { ...plan, sysctls: [] } } },
  { list: 'destinations', without: { ...status, destinations: [] } },
])('$list of a budget becomes empty and is then an empty list', async ({ list, without }) => {
  const namespace = list.toLowerCase().replace('.', '-');
  await createNamespace(setting, namespace);
  await createBudget(setting, namespace);

  const stored = await storedAfter({ resource: budgets, namespace, fieldManager: 'controller' }, [status, without]);

  expect(connectionBudgetStatus.parse(stored)).toEqual(without);
});

test('the lists of a node become empty and are then empty lists', async () => {
  await createNode(setting, 'gateway');
  const without = { facts: {}, agent: { ...agent, keyIds: [] }, pods: [] };

  const stored = await storedAfter({ resource: connectionNodes, fieldManager: 'agent' }, [node, without]);

  expect(connectionNodeStatus.parse(stored)).toEqual(without);
});
