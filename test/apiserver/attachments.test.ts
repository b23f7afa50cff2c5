import { afterAll, beforeAll, expect, test } from 'vitest';
import { networkAttachments } from '../../src/controller/resources.ts';
import { type Pod, pods } from '../../src/kube/resources.ts';
import { until } from '../kube/until.ts';
import { attachedSpec as spec } from '../webhook/budgets.ts';
import { crds } from '../kube/crd-resource.ts';
import { call, conditionOf, type RunningController, startControllerIn } from './controller-setting.ts';
import { createPod, useWebhookSetting, withBudgets } from './webhook-setting.ts';

const setting = useWebhookSetting();

const networks = 'k8s.v1.cni.cncf.io/networks';
const group = 'k8s.cni.cncf.io';

/** As the Network Plumbing Working Group's specification has it, as far as we read it. */
const attachmentCrd = {
  metadata: { name: `network-attachment-definitions.${group}` },
  spec: {
    group,
    scope: 'Namespaced',
    names: {
      plural: 'network-attachment-definitions',
      singular: 'network-attachment-definition',
      kind: 'NetworkAttachmentDefinition',
    },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: { spec: { type: 'object', properties: { config: { type: 'string' } } } },
          },
        },
      },
    ],
  },
};

const ipam = {
  type: 'host-local',
  ranges: Array.from({ length: 4 }, (_, at) => [
    { subnet: '192.0.2.0/24', rangeStart: `192.0.2.${at + 1}0`, rangeEnd: `192.0.2.${at + 1}9` },
  ]),
};
const attachment = {
  apiVersion: `${group}/v1`,
  kind: 'NetworkAttachmentDefinition',
  metadata: { namespace: 'attached', name: 'net-a' },
  spec: { config: JSON.stringify({ cniVersion: '1.0.0', type: 'macvlan', master: 'eth1', ipam }) },
};

const feasible = (): Promise<string | undefined> => conditionOf(setting, 'Feasible', ['attached']);
const askedBy = ({ metadata }: Pod): unknown => JSON.parse(metadata?.annotations?.[networks] ?? 'null');

let leader: RunningController | undefined;

beforeAll(async () => {
  leader = startControllerIn(setting, { identity: 'leader' });
  await withBudgets(setting, 'attached', { spec });
});

afterAll(() => leader?.stop());

test('in a cluster without the kind a pod starts without extra addresses, and the status says why', async () => {
  await until(feasible, 'Feasible Unknown AttachmentNotFound');

  const pod = await createPod(setting, { namespace: 'attached', name: 'before' });

  expect(askedBy(pod)).toBeNull();
  expect(pod.metadata?.annotations?.['connectionbudget.io/plan']).toContain('"extra":0');
});

test('from when kind and attachment are there, pods ask for it behind what their users wrote', async () => {
  await setting.client.create(crds, attachmentCrd, call);
  await until(() => setting.client.create(networkAttachments, attachment, call).then(() => true), true);
  await until(() => setting.controller.surroundings.attachment('attached/net-a') !== undefined, true, 30_000);
  await until(feasible, 'Feasible True AssumptionsUnverified', 30_000);

  const annotations = { [networks]: 'storage@eth1' };
  const pod = await createPod(setting, { namespace: 'attached', name: 'after', annotations });

  expect(askedBy(pod)).toEqual([
    { name: 'storage', interface: 'eth1' },
    { name: 'net-a', namespace: 'attached', interface: 'cb0' },
  ]);
  expect(pod.metadata?.annotations?.['connectionbudget.io/plan']).toContain('"extra":4');
});

test('a pod that Multus gave fewer addresses is not verified', async () => {
  const report = JSON.stringify([{ name: 'attached/net-a', interface: 'cb0', ips: ['192.0.2.10', '192.0.2.20'] }]);
  const target = { resource: pods, namespace: 'attached', name: 'after' } as const;
  const annotations = { 'k8s.v1.cni.cncf.io/network-status': report };
  await setting.client.patch(target, { metadata: { annotations } }, call);
  await setting.client.patch({ ...target, subresource: 'status' }, { status: { phase: 'Running' } }, call);

  await until(() => conditionOf(setting, 'Verified', ['attached']), 'Verified False AddressesMissing');
});

test('an attachment that is deleted is missed', async () => {
  await setting.client.delete({ resource: networkAttachments, namespace: 'attached', name: 'net-a' }, call);

  await until(feasible, 'Feasible Unknown AttachmentNotFound');
});
