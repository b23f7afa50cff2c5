import { expect, test, vi } from 'vitest';
import { createKubeClient } from '../../src/kube/client.ts';
import { readKubeConfig } from '../../src/kube/kube-config.ts';
import { configMaps } from '../../src/kube/resources.ts';
import { startApiServer } from '../cluster/lab/api-server.ts';
import { until } from '../kube/until.ts';
import { followConfigMaps } from './follow-config-maps.ts';
import { call, configMap, configMapTarget, namespace, useKubeSetting } from './kube-setting.ts';

vi.setConfig({ testTimeout: 90_000 });

const setting = useKubeSetting();

const inEarnest = { baseMs: 1_000, maximumMs: 30_000 };
const follow = (watchList: boolean) => followConfigMaps(setting, { watchList, backoff: inEarnest });

test('after the API server was killed and came back all caches are equal to it, with one relist at most', async () => {
  for (const name of ['goes', 'stays', 'changes']) {
    await setting.direct.create(configMaps, configMap(name, 'before'), call);
  }
  const watches = [true, true, false, false].map(follow);
  await Promise.all(watches.map(({ cache }) => cache.synced));
  setting.proxy.setDown(true);
  const listen = { address: '127.0.0.1', port: Number(new URL(setting.server.url).port) };
  await setting.server.stop();
  setting.server = await startApiServer({ dir: setting.server.dir, listen });
  await setting.direct.close();
  setting.direct = createKubeClient(readKubeConfig(setting.server.kubeconfig));
  await setting.direct.delete(configMapTarget('goes'), call);
  await setting.direct.patch(configMapTarget('changes'), { data: { value: 'after' } }, call);
  await setting.direct.create(configMaps, configMap('comes', 'after'), call);
  setting.proxy.setDown(false);
  const expected = {
    [`${namespace}/stays`]: 'before',
    [`${namespace}/changes`]: 'after',
    [`${namespace}/comes`]: 'after',
  };
  for (const { contents } of watches) await until(contents, expected, 45_000);
  expect(Math.max(...watches.map(({ lists }) => lists()))).toBeLessThanOrEqual(2);
  await setting.direct.patch(configMapTarget('stays'), { data: { value: 'still followed' } }, call);
  for (const { cache } of watches) await until(() => cache.get(`${namespace}/stays`), 'still followed');
});

const relist = JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } });

test.each([
  ['goes on where it was', undefined],
  ['is told 410', { status: 410 }],
  ['is told 410 in the stream', { status: 200, body: `${relist}\n` }],
])('who hears of a server that is back has at once what a watch missed that %s', async (_, first) => {
  const backoff = { baseMs: 20, maximumMs: 600_000 };
  const { cache, contents, interruptions } = followConfigMaps(setting, { backoff });
  await cache.synced;
  expect(cache.hurry()).toBeUndefined();

  setting.proxy.setDown(true);
  await until(() => interruptions().length > 2, true);
  backoff.baseMs = backoff.maximumMs;
  await until(() => (interruptions().at(-1)?.retryInMs ?? 0) > 60_000, true);
  const name = `missed-${cache.size()}`;
  await setting.direct.create(configMaps, configMap(name, 'seen'), call);
  if (first !== undefined) setting.proxy.answerNext(/watch=true/, first);
  setting.proxy.setDown(false);
  await cache.hurry();

  expect(contents()).toMatchObject({ [`${namespace}/${name}`]: 'seen' });
  expect(cache.hurry()).toBeUndefined();
});
