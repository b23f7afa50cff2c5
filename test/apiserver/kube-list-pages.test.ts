import { describe, expect, test } from 'vitest';
import { configMaps } from '../../src/kube/resources.ts';
import { until } from '../kube/until.ts';
import { followConfigMaps } from './follow-config-maps.ts';
import { call, configMap, configMapTarget, namespace, useKubeSetting } from './kube-setting.ts';

const setting = useKubeSetting();

describe('a page that is not a whole list is listed anew, and what was on it is not gone', () => {
  test.each([
    { what: 'cut inside an object', body: '{"metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":"x' },
    { what: 'cut after an object', body: '{"metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":"x"}}' },
    { what: 'without a resourceVersion', body: '{"metadata":{},"items":[]}' },
    { what: 'empty', body: '' },
  ])('$what', async ({ what, body }) => {
    const name = what.toLowerCase().replaceAll(' ', '-');
    await setting.direct.create(configMaps, configMap(name, '1'), call);
    const { cache, calls, kinds } = followConfigMaps(setting, { watchList: false });
    await cache.synced;
    setting.proxy.setDown(true);
    setting.proxy.answerNext(/watch=true/, { status: 410 });
    setting.proxy.answerNext(/limit=500/, { status: 200, body });
    setting.proxy.setDown(false);
    await until(() => kinds().filter((kind) => kind === 'Malformed'), ['Malformed']);
    await setting.direct.patch(configMapTarget(name), { data: { value: '2' } }, call);
    await until(() => cache.get(`${namespace}/${name}`), '2');
    expect(calls.filter((line) => line.endsWith('→ none'))).toEqual([]);
  });
});
