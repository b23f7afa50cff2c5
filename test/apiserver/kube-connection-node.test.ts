import { expect, onTestFinished, test, vi } from 'vitest';
import { connectionNodeCrd } from '../../src/api/crd.ts';
import { agentFieldManager, group, nodePlural, version } from '../../src/api/names.ts';
import { createConnectionNodeWriter } from '../../src/kube/connection-node.ts';
import type { KubeObject, Resource } from '../../src/kube/resources.ts';
import { call, useKubeSetting } from './kube-setting.ts';

vi.setConfig({ testTimeout: 30_000 });

const setting = useKubeSetting();

interface ConnectionNode extends KubeObject {
  readonly status?: { readonly facts?: { readonly nrOpen?: number; readonly fileMax?: number } };
}
const connectionNodes: Resource<ConnectionNode> = {
  group,
  version,
  kind: 'ConnectionNode',
  plural: nodePlural,
  namespaced: false,
};

function writer() {
  const made = createConnectionNodeWriter({ type: 'Kubeconfig', file: setting.server.kubeconfig });
  onTestFinished(() => made.close());
  return made;
}

const facts = (nrOpen: number) => ({ facts: { nrOpen } });
const read = (name: string) => setting.direct.get({ resource: connectionNodes, name }, call);

test('without the definition a write says NotFound; with it the object is made, and its status is ours', async () => {
  const { write } = writer();
  await expect(write('node-1', facts(1), call)).rejects.toThrow(expect.objectContaining({ kind: 'NotFound' }));
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  await setting.direct.transport.send({ method: 'POST', path, body: connectionNodeCrd() }, call);
  await vi.waitFor(() => write('node-1', facts(1_048_576), call), { timeout: 15_000, interval: 100 });
  await write('node-1', facts(2_097_152), call);
  const { metadata, status } = await read('node-1');
  expect(status?.facts).toEqual({ nrOpen: 2_097_152 });
  const owner = { manager: agentFieldManager, operation: 'Apply', subresource: 'status' };
  expect(metadata?.managedFields).toEqual(expect.arrayContaining([expect.objectContaining(owner)]));
});

test('an object that is there is written by one request, and after its deletion by three', async () => {
  const { write } = writer();
  await write('node-2', facts(1), call);
  const first = (await read('node-2')).metadata?.uid;
  await write('node-2', facts(2), call);
  expect((await read('node-2')).metadata?.uid).toBe(first);
  await setting.direct.delete({ resource: connectionNodes, name: 'node-2' }, call);
  await write('node-2', facts(3), call);
  expect((await read('node-2')).status?.facts?.nrOpen).toBe(3);
});

test('what the stored definition, of an older version, does not declare is left out and told', async () => {
  const onLeftOut = vi.fn();
  const made = createConnectionNodeWriter({ type: 'Kubeconfig', file: setting.server.kubeconfig }, onLeftOut);
  onTestFinished(() => made.close());
  await made.write('node-newer', { ...facts(5), tomorrow: { is: 'here' } }, call);
  expect((await read('node-newer')).status?.facts?.nrOpen).toBe(5);
  expect(onLeftOut).toHaveBeenCalledExactlyOnceWith(['status.tomorrow']);
});

test('a field that somebody else owns is a Conflict, and is not overruled', async () => {
  const { write } = writer();
  await write('node-3', facts(1), call);
  const target = { resource: connectionNodes, name: 'node-3', subresource: 'status' } as const;
  await setting.direct.apply(target, { status: facts(7) }, { ...call, fieldManager: 'somebody', force: true });
  await expect(write('node-3', facts(2), call)).rejects.toThrow(expect.objectContaining({ kind: 'Conflict' }));
  expect((await read('node-3')).status?.facts?.nrOpen).toBe(7);
});

test('what the schema refuses is Invalid, a file that is missing Unauthorized, a caller that gives up Aborted', async () => {
  const { write } = writer();
  await expect(write('node-4', facts(-1), call)).rejects.toThrow(expect.objectContaining({ kind: 'Invalid' }));
  const nowhere = createConnectionNodeWriter({
    type: 'InCluster',
    host: '127.0.0.1',
    port: 1,
    serviceAccountDirectory: '/nonexistent',
  });
  await expect(nowhere.write('n', {}, call)).rejects.toThrow(expect.objectContaining({ kind: 'Unauthorized' }));
  const given = write('node-4', {}, { signal: AbortSignal.abort() });
  await expect(given).rejects.toThrow(expect.objectContaining({ kind: 'Aborted' }));
});
