import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { type ConfigMap, configMaps, type KubeObject, namespaces, type Resource } from '../../src/kube/resources.ts';
import { createKeyStore, type KeyStore } from '../../src/webhook/keys.ts';
import { call, useControllerSetting } from './controller-setting.ts';

const setting = useControllerSetting();
const secrets: Resource<KubeObject> = { group: '', version: 'v1', kind: 'Secret', plural: 'secrets', namespaced: true };
const policy = { rotateAfterMs: 1000, publishLeadMs: 100, keepAfterMs: 5000 };

async function replicasIn(namespace: string): Promise<{ readonly clock: { nowMs: number }; replicas: KeyStore[] }> {
  await setting.client.create(namespaces, { metadata: { name: namespace } }, call);
  const clock = { nowMs: 1_000_000 };
  const options = { client: setting.client, namespace, secretName: 'keys', configMapName: 'public', policy };
  const replicas = [1, 2, 3].map(() => createKeyStore({ ...options, nowMs: () => clock.nowMs }));
  return { clock, replicas };
}

const target = (namespace: string) => ({ resource: configMaps, namespace, name: 'public' });
const published = async (namespace: string): Promise<readonly string[]> =>
  Object.keys((await setting.client.get<ConfigMap>(target(namespace), call)).data ?? {});
const refreshAll = async (replicas: readonly KeyStore[]) =>
  Promise.all(replicas.map((replica) => replica.refresh(call.signal)));
const keyIds = (replicas: readonly KeyStore[]) => new Set(replicas.map((replica) => replica.signer()?.keyId));

test('replicas that start together agree on one key, and it is published', async () => {
  const { replicas } = await replicasIn('together');

  await refreshAll(replicas);

  expect(keyIds(replicas)).toEqual(new Set(await published('together')));
  expect(keyIds(replicas).size).toBe(1);
});

test('a new key is public before any replica signs with it', async () => {
  const { clock, replicas } = await replicasIn('rotation');
  await refreshAll(replicas);
  const before = keyIds(replicas);

  clock.nowMs += 1000;
  await refreshAll(replicas);
  const during = keyIds(replicas);
  const both = await published('rotation');
  clock.nowMs += 100;

  expect(during).toEqual(before);
  expect(both).toHaveLength(2);
  expect(keyIds(replicas)).toEqual(new Set(both.filter((keyId) => !before.has(keyId))));
});

test('a replica that has not seen the newest key signs with the one before', async () => {
  const { clock, replicas } = await replicasIn('behind');
  await refreshAll(replicas);
  const before = keyIds(replicas);

  clock.nowMs += 1000;
  await replicas[0]?.refresh(call.signal);
  clock.nowMs += 100;

  expect(keyIds(replicas.slice(1))).toEqual(before);
  expect(keyIds(replicas)).toHaveLength(2);
});

test('public keys that were taken away are published again, and those of others stay', async () => {
  const { replicas } = await replicasIn('repair');
  await refreshAll(replicas);
  const [keyId = ''] = await published('repair');
  const spki = generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' });
  const other = spki.toString('base64');
  await setting.client.patch(target('repair'), { data: { [keyId]: null, other } }, call);

  await refreshAll(replicas);

  expect(new Set(await published('repair'))).toEqual(new Set([keyId, 'other']));
});

test('a deleted or broken Secret is a rotation: nobody signs with a key that was not public before', async () => {
  const { clock, replicas } = await replicasIn('lost');
  await refreshAll(replicas);
  const before = keyIds(replicas);
  const secret = { resource: secrets, namespace: 'lost', name: 'keys' };

  await setting.client.delete(secret, call);
  await refreshAll(replicas);
  expect(keyIds(replicas)).toEqual(before);
  expect(await published('lost')).toHaveLength(2);
  await setting.client.patch(secret, { data: { 'document.json': 'bm90IEpTT04=' } }, call);
  await refreshAll(replicas);
  expect(keyIds(replicas)).toEqual(before);
  clock.nowMs += 100;

  expect(keyIds(replicas)).not.toEqual(before);
  expect(await published('lost')).toEqual(expect.arrayContaining([...before, ...keyIds(replicas)]));
});

test('a deleted ConfigMap comes back', async () => {
  const { replicas } = await replicasIn('deleted');
  await refreshAll(replicas);
  await setting.client.delete(target('deleted'), call);

  await refreshAll(replicas);

  expect(keyIds(replicas)).toEqual(new Set(await published('deleted')));
});

/** What a ConfigMap holds at most, keys and values together (MaxSecretSize of the API server). */
const mostConfigMapBytes = 1_048_576;

test('a retired key is taken away later where its publication failed', async () => {
  const { clock, replicas } = await replicasIn('retired');
  const [replica] = replicas.slice(0, 1);
  await replica?.refresh(call.signal);
  const [first = ''] = await published('retired');
  clock.nowMs += 1000;
  await replica?.refresh(call.signal);
  const second = (await published('retired')).find((keyId) => keyId !== first) ?? '';
  const { data = {} } = await setting.client.get<ConfigMap>(target('retired'), call);
  const filler = 'x'.repeat(mostConfigMapBytes - 'filler'.length - first.length - (data[first] ?? '').length);
  await setting.client.patch(target('retired'), { data: { [second]: null, filler } }, call);

  // The first key is retired and a third is made; there is no room to publish both of those that sign.
  clock.nowMs += 6000;
  await expect(replica?.refresh(call.signal)).rejects.toThrow('Too long');
  await setting.client.patch(target('retired'), { data: { filler: null } }, call);
  await replica?.refresh(call.signal);

  expect(await published('retired')).not.toContain(first);
  expect(await published('retired')).toHaveLength(2);
});
