import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { ListWatchOptions } from '../../src/kube/list-watch.ts';
import { collectionPath, type ConfigMap, configMaps } from '../../src/kube/resources.ts';
import { until } from '../kube/until.ts';
import { followConfigMaps } from './follow-config-maps.ts';
import { call, configMap, configMapTarget, namespace, useKubeSetting } from './kube-setting.ts';

vi.setConfig({ testTimeout: 30_000 });

const setting = useKubeSetting();

afterEach(async () => {
  const path = collectionPath(configMaps, namespace);
  await setting.direct.transport.send({ method: 'DELETE', path }, { ...call, timeoutMs: 30_000 });
});

const create = (name: string, value = name) => setting.direct.create(configMaps, configMap(name, value), call);
const change = (name: string, value: string) => setting.direct.patch(configMapTarget(name), { data: { value } }, call);
const remove = (name: string) => setting.direct.delete(configMapTarget(name), call);

const follow = (options: Partial<ListWatchOptions<ConfigMap, string>> = {}) => followConfigMaps(setting, options);

describe.each([{ watchList: true }, { watchList: false }])('with watchList $watchList', (options) => {
  test('what is there comes before synced, and every change after it', async () => {
    await create('a', '1');
    const { cache, calls } = follow(options);
    expect(cache.hasSynced()).toBe(false);
    await cache.synced;
    expect(cache.hasSynced()).toBe(true);
    await create('b', '2');
    await change('a', '3');
    await remove('b');
    const expected = ['a: none → 1', 'synced', 'b: none → 2', 'a: 1 → 3', 'b: 2 → none'];
    await until(() => calls.map((line) => line.replace(`${namespace}/`, '')), expected);
    expect([...cache.values()]).toEqual(['3']);
  });

  test('a handler that stops the watch is the last one that is called', async () => {
    await Promise.all(['a', 'b', 'c'].map((name) => create(name)));
    const controller = new AbortController();
    const keys: string[] = [];
    const upserted = (key: string): void => {
      keys.push(key);
      controller.abort();
    };
    const { cache } = follow({ ...options, signal: controller.signal, handlers: { upserted } });
    await cache.stopped;
    expect(keys).toHaveLength(1);
    expect(cache.hasSynced()).toBe(false);
  });

  test('after a Gone by HTTP there is one relist, and deletes are made up for', async () => {
    await Promise.all([create('goes'), create('stays')]);
    const { cache, calls, contents, lists, kinds } = follow(options);
    await cache.synced;
    setting.proxy.setDown(true);
    await Promise.all([remove('goes'), create('comes')]);
    setting.proxy.answerNext(/watch=true/, { status: 410, body: '{"kind":"Status","code":410,"reason":"Expired"}' });
    setting.proxy.setDown(false);
    await until(contents, { [`${namespace}/stays`]: 'stays', [`${namespace}/comes`]: 'comes' });
    expect(calls.filter((line) => line.startsWith(`${namespace}/goes`))).toEqual([
      `${namespace}/goes: none → goes`,
      `${namespace}/goes: goes → none`,
    ]);
    expect(calls.filter((line) => line.startsWith(`${namespace}/stays`))).toHaveLength(1);
    expect(lists()).toBe(2);
    expect(kinds().filter((kind) => kind === 'Gone')).toHaveLength(1);
  });
});

const gone = JSON.stringify({
  type: 'ERROR',
  object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' },
});
const failed = JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 500, message: 'etcd is away' } });

describe('what comes through the stream and is wrong makes one relist, and nothing is lost', () => {
  test.each([
    { what: 'a Gone', text: `${gone}\n`, kind: 'Gone' },
    { what: 'an internal error', text: `${failed}\n`, kind: 'ServerError' },
    { what: 'garbage', text: '}{ no event\n', kind: 'Malformed' },
    { what: 'half an event before another', text: '{"type":"ADDED","object":{"meta', kind: 'Malformed' },
    { what: 'an event without an object', text: '{"type":"ADDED"}\n', kind: 'Malformed' },
  ])('$what', async ({ text, kind }) => {
    await Promise.all([create('a', '1'), create('b', '1')]);
    const { cache, calls, contents, lists, kinds } = follow();
    await cache.synced;
    setting.proxy.inject(text);
    await Promise.all([remove('a'), change('b', '2'), create('c', '3')]);
    await until(contents, { [`${namespace}/b`]: '2', [`${namespace}/c`]: '3' });
    await until(lists, 2);
    expect(kinds()).toEqual([kind]);
    expect(calls.filter((line) => line.startsWith(`${namespace}/a`))).toHaveLength(2);
    await change('c', '4');
    await until(() => cache.get(`${namespace}/c`), '4');
  });
});

test('a cut connection goes on where it was, without a relist', async () => {
  await create('a', '1');
  const { cache, contents, lists, kinds } = follow();
  await cache.synced;
  setting.proxy.cut();
  await change('a', '2');
  await until(contents, { [`${namespace}/a`]: '2' });
  expect(kinds()).toEqual(['Network']);
  expect(lists()).toBe(1);
});

test('a line cut in the middle by a reset is no event, and the whole one comes again', async () => {
  await create('a', '1');
  const { cache, contents, lists } = follow();
  await cache.synced;
  setting.proxy.inject(`{"type":"DELETED","object":{"metadata":{"namespace":"${namespace}","name":"a"`);
  await pause(50);
  setting.proxy.cut();
  await change('a', '2');
  await until(contents, { [`${namespace}/a`]: '2' });
  expect(lists()).toBe(1);
});

test('a watch that has fallen silent is given up and listed anew', async () => {
  await create('a', '1');
  const { cache, contents, kinds } = follow({ stallTimeoutMs: 1_500 });
  await cache.synced;
  setting.proxy.stall();
  await change('a', '2');
  await until(contents, { [`${namespace}/a`]: '2' });
  expect(kinds()).toEqual(['Timeout']);
});

describe('Retry-After is waited for', () => {
  test.each([
    { status: 429, kind: 'TooManyRequests' },
    { status: 503, kind: 'Unavailable' },
  ])('$status', async ({ status, kind }) => {
    setting.proxy.answerNext(/watch=true/, { status, headers: { 'retry-after': '1' }, body: 'busy' });
    const startedAtMs = performance.now();
    const { cache, interruptions } = follow();
    await cache.synced;
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(1_000);
    expect(interruptions()).toMatchObject([{ error: { kind }, relists: true }]);
  });
});

test('a server that is back, and not ready yet, is not made to pay for how long it was away', async () => {
  const { cache, interruptions, kinds } = follow({ backoff: { baseMs: 20, maximumMs: 60_000 } });
  await cache.synced;
  setting.proxy.setDown(true);
  await until(() => kinds().length >= 6, true);
  setting.proxy.answerNext(/watch=true/, { status: 503, body: 'caches are being filled' });
  setting.proxy.setDown(false);
  await until(() => kinds().includes('Unavailable'), true);
  expect(interruptions().at(-1)).toMatchObject({
    error: { kind: 'Unavailable' },
    retryInMs: expect.toSatisfy(isFirstPause),
  });
});

const isFirstPause = (ms: number): boolean => ms <= 20;

describe('no answer of the server stops it', () => {
  test.each([400, 401, 403, 404, 409, 418, 500, 502, 504])('%i', async (status) => {
    await create('a', '1');
    setting.proxy.answerNext(/watch=true/, { status });
    const { cache, contents, interruptions } = follow();
    await cache.synced;
    expect(contents()).toEqual({ [`${namespace}/a`]: '1' });
    expect(interruptions()).toHaveLength(1);
  });
});

test('a server that refuses WatchList is listed in pages', async () => {
  await create('a', '1');
  const invalid = '{"kind":"Status","code":422,"reason":"Invalid","message":"sendInitialEvents is forbidden"}';
  setting.proxy.answerNext(/sendInitialEvents/, { status: 422, body: invalid });
  const before = setting.proxy.requests.length;
  const { cache, contents } = follow();
  await cache.synced;
  expect(contents()).toEqual({ [`${namespace}/a`]: '1' });
  await change('a', '2');
  await until(contents, { [`${namespace}/a`]: '2' });
  expect(setting.proxy.requests.slice(before).filter((line) => line.includes('limit=500'))).toHaveLength(1);
});

test('a server whose cache is behind is asked for WatchList again', async () => {
  const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
  const late = JSON.stringify({ kind: 'Status', code: 504, reason: 'Timeout', details: { causes } });
  setting.proxy.answerNext(/sendInitialEvents/, { status: 504, body: late });
  const before = setting.proxy.requests.length;
  const { cache, kinds } = follow();
  await cache.synced;
  expect(kinds()).toEqual(['Timeout']);
  expect(setting.proxy.requests.slice(before).filter((line) => line.includes('limit=500'))).toEqual([]);
});

test('deleted and created again under the same name while nobody looked is a delete and an add', async () => {
  await create('a', '1');
  const { cache, calls } = follow();
  await cache.synced;
  setting.proxy.setDown(true);
  await remove('a');
  await create('a', '1');
  setting.proxy.answerNext(/watch=true/, { status: 410 });
  setting.proxy.setDown(false);
  const a = `${namespace}/a`;
  await until(() => calls, [`${a}: none → 1`, 'synced', `${a}: 1 → none`, `${a}: none → 1`]);
});

test('handlers and projections that throw or reject are reported, and the rest goes on', async () => {
  await Promise.all([create('a', '1'), create('b', 'unreadable')]);
  const { cache, reports } = follow({
    project: ({ data }) => {
      if (data?.['value'] === 'unreadable') throw new Error('unreadable');
      return data?.['value'];
    },
    handlers: {
      synced: () => {
        throw new Error('synced');
      },
      // oxlint-disable-next-line typescript/no-misused-promises -- that is the mistake
      upserted: () => Promise.reject(new Error('upserted')),
      deleted: () => {
        throw new Error('deleted');
      },
    },
  });
  await cache.synced;
  await create('c', '3');
  await until(() => cache.get(`${namespace}/c`), '3');
  await remove('c');
  await until(() => cache.size(), 1);
  await until(
    () =>
      reports
        .filter(({ type }) => type !== 'Listed')
        .map((report) => ('key' in report ? `${report.type} ${report.key}` : report.type))
        // What is thrown is told at once, what is rejected a moment later.
        .toSorted(),
    [
      'HandlerFailed ',
      `HandlerFailed ${namespace}/a`,
      `HandlerFailed ${namespace}/c`,
      `HandlerFailed ${namespace}/c`,
      `ProjectionFailed ${namespace}/b`,
    ],
  );
});

test('after the signal no handler is called, and no connection is left', async () => {
  const { cache, calls, stop } = follow();
  await cache.synced;
  const before = calls.length;
  stop();
  await cache.stopped;
  await create('late');
  await pause(200);
  expect(calls).toHaveLength(before);
  await until(() => setting.proxy.openWatches(), 0);
});

test('a stop before the first list resolves synced too, and hasSynced says the truth', async () => {
  setting.proxy.setDown(true);
  const { cache, stop } = follow();
  stop();
  await Promise.all([cache.synced, cache.stopped]);
  setting.proxy.setDown(false);
  expect(cache.hasSynced()).toBe(false);
});

test('1,200 objects come in pages of 500 and by watch alike', async () => {
  const names = Array.from({ length: 1_200 }, (_, index) => `many-${index}`);
  // Of all at once the last would wait longer than a call may, where the machine is busy.
  for (let first = 0; first < names.length; first += 50)
    await Promise.all(names.slice(first, first + 50).map((name) => create(name)));
  const inPages = follow({ watchList: false });
  const byWatch = follow({ watchList: true });
  await Promise.all([inPages.cache.synced, byWatch.cache.synced]);
  expect(inPages.contents()).toEqual(byWatch.contents());
  expect(byWatch.cache.size()).toBe(1_200);
});

test('metadata alone is followed where that is enough', async () => {
  await create('a', 'not sent');
  const { cache } = follow({
    metadataOnly: true,
    project: (object) => `${object.kind} with data: ${'data' in object}`,
  });
  await cache.synced;
  expect([...cache.values()]).toEqual(['PartialObjectMetadata with data: false']);
});
