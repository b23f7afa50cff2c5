import { expect, test } from 'vitest';
import { nodes } from '../../src/kube/resources.ts';
import { roomyNode } from '../controller/situations.ts';
import { until } from '../kube/until.ts';
import {
  call,
  conditionOf,
  createBudget,
  createNamespace,
  createNode,
  createRunningPod,
  reportNode,
  runController,
  statusOf,
  useControllerSetting,
} from './controller-setting.ts';

const setting = useControllerSetting();

/** "Feasible True" */
const feasible = async (namespace: string) =>
  (await conditionOf(setting, 'Feasible', [namespace]))?.split(' ').slice(0, 2).join(' ');

test('what a node offers concerns the budgets of its pods, and those without a pod by the least of all nodes', async () => {
  const controller = runController(setting);
  await until(() => controller.isLeading(), true);
  for (const name of ['node-a', 'node-b']) await createNode(setting, name);
  await reportNode(setting, 'node-a', { facts: roomyNode, pods: [] });
  await reportNode(setting, 'node-b', { facts: roomyNode, pods: [] });
  for (const name of ['placed', 'free']) {
    await createNamespace(setting, name);
    await createBudget(setting, name);
  }
  const metadata = { namespace: 'placed', name: 'gateway-1', labels: { app: 'gateway' } };
  await createRunningPod(setting, { metadata });
  await until(() => feasible('placed'), 'Feasible True');
  await until(async () => (await statusOf(setting, 'placed'))?.pods?.matched, 1);

  await reportNode(setting, 'node-b', { facts: { ...roomyNode, nrOpen: 2000 }, pods: [] });
  await until(() => feasible('free'), 'Feasible False');
  expect(await feasible('placed')).toBe('Feasible True');

  // The least of all nodes stays as it is.
  await reportNode(setting, 'node-a', { facts: { ...roomyNode, nrOpen: 3000 }, pods: [] });
  await until(() => feasible('placed'), 'Feasible False');

  await setting.client.delete({ resource: nodes, name: 'node-b' }, call);
  await reportNode(setting, 'node-a', { facts: roomyNode, pods: [] });
  await until(() => feasible('placed'), 'Feasible True');
  await until(() => feasible('free'), 'Feasible True');
});
