import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { configMaps } from '../../src/kube/resources.ts';
import type { Garbling } from '../kube/fault-proxy.ts';
import { until } from '../kube/until.ts';
import { followConfigMaps } from './follow-config-maps.ts';
import { call, configMap, configMapTarget, namespace, useKubeSetting } from './kube-setting.ts';

/** What a proxy or a load balancer that decrypts may do to the bytes on their way. */

vi.setConfig({ testTimeout: 30_000 });

const setting = useKubeSetting();

afterEach(async () => {
  const { items } = await setting.direct.list(configMaps, { namespace }, call);
  await Promise.all(items.map(({ metadata }) => setting.direct.delete(configMapTarget(metadata?.name ?? ''), call)));
});

const create = (name: string) => setting.direct.create(configMaps, configMap(name, '1'), call);
const change = (name: string, value: string) => setting.direct.patch(configMapTarget(name), { data: { value } }, call);

/** XOR of each byte from the middle on, as far as `length`. */
const flipped =
  (mask: number, length: number): Garbling =>
  (chunk) => {
    const from = Math.floor(chunk.length / 2);
    return Buffer.from(chunk.map((byte, at) => (at >= from && at < from + length ? byte ^ mask : byte)));
  };
const half: Garbling = (chunk) => chunk.subarray(0, chunk.length / 2);
const nothing: Garbling = () => Buffer.alloc(0);
const twice: Garbling = (chunk) => Buffer.concat([half(chunk), chunk]);
const zeros: Garbling = (chunk) => Buffer.alloc(chunk.length);

const rows: readonly (readonly [string, Garbling])[] = [
  ['half of it', half],
  ['half of it twice', twice],
  ['zeros', zeros],
  ['other bits in every byte', flipped(0x15, Infinity)],
  ['one high bit', flipped(0x80, 1)],
];

test.each(rows)('%s of an event makes one relist, and nothing is lost', async (_, garbling) => {
  await Promise.all([create('a'), create('b')]);
  const { cache, contents, lists, kinds } = followConfigMaps(setting);
  await cache.synced;

  setting.proxy.garble(garbling);
  await change('a', '2');
  await change('b', '2');

  await until(contents, { [`${namespace}/a`]: '2', [`${namespace}/b`]: '2' });
  expect(lists()).toBe(2);
  expect(kinds()).toEqual(['Malformed']);
});

test.each(rows)('%s of a page is no list, and the next one is', async (_, garbling) => {
  await create('a');
  setting.proxy.garbleNext(/configmaps\?.*limit=500/, garbling);

  const { cache, kinds, contents } = followConfigMaps(setting, { watchList: false });

  await cache.synced;
  expect(contents()).toEqual({ [`${namespace}/a`]: '1' });
  expect(kinds()).toEqual(['Malformed']);
});

test('an event that is dropped on its way is made up for when the next one of its object comes', async () => {
  await create('dropped');
  const { cache } = followConfigMaps(setting);
  await cache.synced;

  setting.proxy.garble(nothing);
  await change('dropped', '2');
  await change('dropped', '3');

  await until(() => cache.get(`${namespace}/dropped`), '3');
});

test('while every request and every piece comes half a second late, all of it comes', async () => {
  await create('late');
  setting.proxy.setDelayMs(500);
  onTestFinished(() => setting.proxy.setDelayMs(0));
  const { cache, kinds } = followConfigMaps(setting);
  await cache.synced;

  for (const value of ['2', '3', '4']) await change('late', value);

  await until(() => cache.get(`${namespace}/late`), '4');
  expect(kinds()).toEqual([]);
});
