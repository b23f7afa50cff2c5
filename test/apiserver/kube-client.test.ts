import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createKubeClient, writingOnlyWhile } from '../../src/kube/client.ts';
import { eventFor } from '../../src/kube/event.ts';
import { inClusterKubeConfig } from '../../src/kube/kube-config.ts';
import { configMaps, events, pods, type Resource, type KubeObject } from '../../src/kube/resources.ts';
import { call, configMap, configMapTarget, namespace, useKubeSetting } from './kube-setting.ts';

vi.setConfig({ testTimeout: 30_000 });

const setting = useKubeSetting({ extraArguments: ['--etcd-compaction-interval=1s'] });

function proxied(connections?: number) {
  const client = createKubeClient(setting.proxy.config, connections === undefined ? {} : { connections });
  onTestFinished(() => client.close());
  return client;
}

const failing = (fields: object) => expect.objectContaining({ name: 'KubeError', ...fields });

test('an object is created, read, replaced, patched in both ways, listed and deleted', async () => {
  const { direct } = setting;
  const target = configMapTarget('life');
  const created = await direct.create(configMaps, configMap('life', '1'), call);
  expect(await direct.get(target, call)).toEqual(created);
  await direct.update(target, { ...created, data: { value: '2' } }, call);
  await direct.patch(target, { data: { merged: 'yes' } }, call);
  await direct.patch(target, [{ op: 'replace', path: '/data/value', value: '3' }], call);
  const { items } = await direct.list(configMaps, { namespace, fieldSelector: 'metadata.name=life' }, call);
  expect(items.map(({ data }) => data)).toEqual([{ value: '3', merged: 'yes' }]);
  await direct.delete(target, { ...call, preconditions: { uid: created.metadata?.uid ?? '' } });
  await expect(direct.get(target, call)).rejects.toThrow(failing({ kind: 'NotFound', status: 404 }));
});

test('each refusal has its kind, and a conflict of owners says the field', async () => {
  const { direct } = setting;
  const target = configMapTarget('refused');
  const created = await direct.create(configMaps, configMap('refused', '1'), { ...call, fieldManager: 'first' });
  const deployments: Resource<KubeObject> = {
    group: 'nowhere.io',
    version: 'v1',
    kind: 'X',
    plural: 'xs',
    namespaced: true,
  };
  await direct.patch(target, { data: { value: '2' } }, { ...call, fieldManager: 'first' });
  await expect(direct.create(configMaps, configMap('refused', '1'), call)).rejects.toThrow(
    failing({ kind: 'AlreadyExists' }),
  );
  await expect(direct.update(target, created, call)).rejects.toThrow(failing({ kind: 'Conflict', reason: 'Conflict' }));
  await expect(direct.delete(target, { ...call, preconditions: { uid: 'another' } })).rejects.toThrow(
    failing({ kind: 'Conflict' }),
  );
  await expect(direct.create(configMaps, configMap('No Name', '1'), call)).rejects.toThrow(
    failing({ kind: 'Invalid' }),
  );
  await expect(direct.list(deployments, {}, call)).rejects.toThrow(failing({ kind: 'NotFound' }));
  const theirs = direct.apply(target, { data: { value: '3' } }, { ...call, fieldManager: 'second' });
  const causes = [expect.objectContaining({ reason: 'FieldManagerConflict', field: '.data.value' })];
  await expect(theirs).rejects.toThrow(failing({ kind: 'Conflict', causes }));
});

test('server-side apply owns what it wrote, and takes over only by force', async () => {
  const { direct } = setting;
  const target = configMapTarget('applied');
  await direct.apply(target, { data: { a: '1', b: '1' } }, { ...call, fieldManager: 'first' });
  await direct.apply(target, { data: { a: '2' } }, { ...call, fieldManager: 'second', force: true });
  const { data } = await direct.apply(target, { data: { b: '2' } }, { ...call, fieldManager: 'first' });
  expect(data).toEqual({ a: '2', b: '2' });
});

test('a status is written by its subresource', async () => {
  const { direct } = setting;
  const target = { resource: pods, namespace, name: 'running' };
  const spec = { containers: [{ name: 'main', image: 'none' }] };
  await direct.create(pods, { metadata: { name: 'running', namespace }, spec }, call);
  await direct.patch({ ...target, subresource: 'status' }, { status: { phase: 'Running' } }, call);
  expect((await direct.get(target, call)).status?.phase).toBe('Running');
});

test('an Event with a note that is too long is shortened, and accepted', async () => {
  const { direct } = setting;
  const regarding = { apiVersion: 'v1', kind: 'ConfigMap', name: 'n'.repeat(250), namespace };
  const event = eventFor(
    {
      regarding,
      type: 'Warning',
      reason: 'Tried',
      action: 'Trying',
      note: 'ä'.repeat(600),
      reportingController: 'connectionbudget.io/test',
      reportingInstance: 'test',
    },
    new Date(),
  );
  await direct.createEvent(event, call);
  const { items } = await direct.list(events, { namespace }, call);
  expect(items.map(({ note }) => note)).toEqual([`${'ä'.repeat(510)}…`]);
});

test('a page names the next one, until its token is compacted away', async () => {
  const { direct } = setting;
  for (const name of ['page-1', 'page-2', 'page-3']) await direct.create(configMaps, configMap(name, ''), call);
  const first = await direct.list(configMaps, { namespace, limit: 1 }, call);
  const from = first.next ?? '';
  const second = await direct.list(configMaps, { namespace, limit: 1, from }, call);
  expect([first, second].map(({ items }) => items.length)).toEqual([1, 1]);
  expect(second.items[0]?.metadata?.name).not.toBe(first.items[0]?.metadata?.name);
  const readUntilGone = async () => {
    await direct.patch(configMapTarget('page-1'), { data: { value: String(performance.now()) } }, call);
    await expect(direct.list(configMaps, { namespace, limit: 1, from }, call)).rejects.toThrow(
      failing({ kind: 'Gone', status: 410 }),
    );
  };
  await vi.waitFor(readUntilGone, { timeout: 20_000, interval: 200 });
});

test('200 calls one after another take two connections at most, and so do 200 at once', async () => {
  const target = configMapTarget('kube-root');
  await setting.direct.create(configMaps, configMap('kube-root', ''), call);
  const client = proxied();
  const before = setting.proxy.connections();
  for (let index = 0; index < 200; index += 1) await client.get(target, call);
  expect(setting.proxy.connections() - before).toBeLessThanOrEqual(2);
  await Promise.all(Array.from({ length: 200 }, () => client.get(target, call)));
  expect(setting.proxy.connections() - before).toBe(2);
});

test('nothing is repeated, and Retry-After is told', async () => {
  const client = proxied();
  const before = setting.proxy.requests.length;
  setting.proxy.answerNext(/configmaps\/busy/, { status: 429, headers: { 'retry-after': '7' }, body: 'busy' });
  const refused = client.get(configMapTarget('busy'), call);
  await expect(refused).rejects.toThrow(failing({ kind: 'TooManyRequests', retryAfterMs: 7_000, message: 'busy' }));
  expect(setting.proxy.requests).toHaveLength(before + 1);
});

test('no connection, no answer in time, an answer that is no JSON and a caller that gives up are told apart', async () => {
  const client = proxied();
  const watch = { method: 'GET', path: '/api/v1/configmaps', query: { watch: true } } as const;
  await expect(client.transport.send(watch, { ...call, timeoutMs: 200 })).rejects.toThrow(failing({ kind: 'Timeout' }));
  const given = client.transport.send(watch, { signal: AbortSignal.timeout(100) });
  await expect(given).rejects.toThrow(failing({ kind: 'Aborted' }));
  const before = client.get(configMapTarget('x'), { signal: AbortSignal.abort() });
  await expect(before).rejects.toThrow(failing({ kind: 'Aborted' }));
  setting.proxy.answerNext(/configmaps\/html/, { status: 200, body: '<html>' });
  await expect(client.get(configMapTarget('html'), call)).rejects.toThrow(failing({ kind: 'Malformed' }));
  setting.proxy.setDown(true);
  const down = client.get(configMapTarget('x'), call);
  await expect(down).rejects.toThrow(failing({ kind: 'Network', cause: expect.anything() }));
  setting.proxy.setDown(false);
});

test('who may not write sends nothing, and may read', async () => {
  let mayWrite = true;
  const client = writingOnlyWhile(() => mayWrite, proxied());
  const target = configMapTarget('guarded');
  await client.create(configMaps, configMap('guarded', '1'), call);
  mayWrite = false;
  const before = setting.proxy.requests.length;
  await expect(client.patch(target, { data: { value: '2' } }, call)).rejects.toThrow(failing({ kind: 'NotLeading' }));
  expect(setting.proxy.requests).toHaveLength(before);
  expect((await client.get(target, call)).data).toEqual({ value: '1' });
});

test('who may not write any more when the connection is ready writes nothing either', async () => {
  const answers = [true, false];
  const client = writingOnlyWhile(() => answers.shift() ?? false, proxied());
  await setting.direct.create(configMaps, configMap('late', '1'), call);
  const late = client.patch(configMapTarget('late'), { data: { value: '2' } }, call);
  await expect(late).rejects.toThrow(failing({ kind: 'NotLeading' }));
  expect(answers).toEqual([]);
  await pause(200);
  expect((await setting.direct.get(configMapTarget('late'), call)).data).toEqual({ value: '1' });
});

function post(path: string, body: object): Promise<unknown> {
  return setting.direct.transport.send({ method: 'POST', path, body }, call);
}

async function tokenFor(account: string): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts`;
  await post(path, { metadata: { name: account } });
  const answer = await post(`${path}/${account}/token`, { spec: { expirationSeconds: 600 } });
  return (answer as { status: { token: string } }).status.token;
}

test('in a cluster the token is read from its file, and again after the server refused it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'service-account-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  await writeFile(join(directory, 'ca.crt'), await readFile(setting.server.identity.authority.certificateFile));
  await writeFile(join(directory, 'token'), 'not a token');
  const { hostname, port } = new URL(setting.server.url);
  const client = createKubeClient(
    inClusterKubeConfig({ host: hostname, port: Number(port), serviceAccountDirectory: directory }),
  );
  onTestFinished(() => client.close());
  const read = () => client.get(configMapTarget('x'), call);
  await expect(read()).rejects.toThrow(failing({ kind: 'Unauthorized', status: 401 }));
  await writeFile(join(directory, 'token.new'), `${await tokenFor('rotated')}\n`);
  await rename(join(directory, 'token.new'), join(directory, 'token'));
  await expect(read()).rejects.toThrow(failing({ kind: 'Forbidden', status: 403 }));
});

test('without its token file a call fails, and the next one after the file came succeeds', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'service-account-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  await writeFile(join(directory, 'ca.crt'), await readFile(setting.server.identity.authority.certificateFile));
  const { hostname, port } = new URL(setting.server.url);
  const client = createKubeClient(
    inClusterKubeConfig({ host: hostname, port: Number(port), serviceAccountDirectory: directory }),
  );
  onTestFinished(() => client.close());
  const read = () => client.get(configMapTarget('x'), call);
  await expect(read()).rejects.toThrow(failing({ kind: 'Unauthorized', status: 0, cause: expect.anything() }));
  await writeFile(join(directory, 'token'), await tokenFor('late'));
  await pause(10);
  await expect(read()).rejects.toThrow(failing({ kind: 'Forbidden', status: 403 }));
});
