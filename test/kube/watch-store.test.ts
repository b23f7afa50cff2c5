import { expect, test } from 'vitest';
import type { ConfigMap } from '../../src/kube/resources.ts';
import { createWatchStore } from '../../src/kube/watch-store.ts';

interface Version {
  readonly name?: string;
  readonly uid?: string;
  readonly version: string;
  readonly value?: string;
}

const object = ({ name = 'a', uid = 'u', version, value = version }: Version): ConfigMap => ({
  metadata: { namespace: 'n', name, uid, resourceVersion: version },
  data: { value },
});

function recordingStore() {
  const calls: unknown[] = [];
  let isStopped = false;
  const store = createWatchStore<ConfigMap, string>({
    project: ({ data }) => {
      const value = data?.['value'];
      if (value === 'unreadable') throw new Error('unreadable');
      return value === 'hidden' ? undefined : value;
    },
    handlers: {
      synced: () => calls.push(['synced']),
      upserted: (key, value, previous) => {
        calls.push(['upserted', key, value, previous]);
        if (value === 'explosive') throw new Error('bang');
      },
      deleted: (key, value) => calls.push(['deleted', key, value]),
    },
    isStopped: () => isStopped,
    failed: (step, key) => calls.push(['failed', step, key]),
  });
  const callsOf = (action: () => void): unknown[] => {
    calls.length = 0;
    action();
    return [...calls];
  };
  return { store, callsOf, stop: () => (isStopped = true) };
}

test.each<{ readonly name: string; readonly now: Version; readonly calls: readonly unknown[]; readonly kept: unknown }>(
  [
    { name: 'the same version: nothing', now: { version: '1' }, calls: [], kept: 'old' },
    {
      name: 'a newer version: an update',
      now: { version: '2', value: 'new' },
      calls: [['upserted', 'n/a', 'new', 'old']],
      kept: 'new',
    },
    {
      name: 'another uid: deleted and added',
      now: { version: '2', uid: 'v', value: 'new' },
      calls: [
        ['deleted', 'n/a', 'old'],
        ['upserted', 'n/a', 'new', undefined],
      ],
      kept: 'new',
    },
    {
      name: 'not wanted any more: deleted',
      now: { version: '2', value: 'hidden' },
      calls: [['deleted', 'n/a', 'old']],
      kept: undefined,
    },
    {
      name: 'unreadable: reported and the old value kept',
      now: { version: '2', value: 'unreadable' },
      calls: [['failed', 'Projection', 'n/a']],
      kept: 'old',
    },
    {
      name: 'a handler that throws: reported and the new value kept',
      now: { version: '2', value: 'explosive' },
      calls: [
        ['upserted', 'n/a', 'explosive', 'old'],
        ['failed', 'Handler', 'n/a'],
      ],
      kept: 'explosive',
    },
  ],
)('$name', ({ now, calls, kept }) => {
  const { store, callsOf } = recordingStore();
  store.change(object({ version: '1', value: 'old' }));
  expect(callsOf(() => store.change(object(now)))).toEqual(calls);
  expect(store.entries.get('n/a')?.value).toBe(kept);
});

test('a relist deletes what it did not show, and nothing else', () => {
  const { store, callsOf } = recordingStore();
  store.change(object({ name: 'stays', version: '1' }));
  store.change(object({ name: 'goes', version: '2' }));
  const calls = callsOf(() => {
    store.beginRelist();
    store.change(object({ name: 'stays', version: '1' }));
    store.change(object({ name: 'comes', version: '3' }));
    store.endRelist();
  });
  expect(calls).toEqual([
    ['upserted', 'n/comes', '3', undefined],
    ['deleted', 'n/goes', '2'],
  ]);
});

test('a relist that was broken off deletes nothing, and the next one counts anew', () => {
  const { store, callsOf } = recordingStore();
  store.change(object({ name: 'goes', version: '1' }));
  const calls = callsOf(() => {
    store.beginRelist();
    store.change(object({ name: 'goes', version: '1' }));
    store.beginRelist();
    store.endRelist();
  });
  expect(calls).toEqual([['deleted', 'n/goes', '1']]);
});

test('removing what is not known calls nobody', () => {
  const { store, callsOf } = recordingStore();
  expect(callsOf(() => store.remove(object({ version: '1' })))).toEqual([]);
});

test('nobody is called after the stop, not even for what a relist would delete', () => {
  const { store, callsOf, stop } = recordingStore();
  store.change(object({ version: '1' }));
  const calls = callsOf(() => {
    stop();
    store.beginRelist();
    store.change(object({ name: 'b', version: '2' }));
    store.endRelist();
    store.announceSynced();
  });
  expect(calls).toEqual([]);
});

const digestOf = (versions: readonly Version[]): number => {
  const { store } = recordingStore();
  for (const version of versions) store.change(object(version));
  return store.digest();
};

test.each<{ readonly name: string; readonly steps: (store: ReturnType<typeof recordingStore>['store']) => void }>([
  { name: 'another order', steps: (store) => ['b', 'a'].map((name) => store.change(object({ name, version: '1' }))) },
  {
    name: 'older versions, another uid and an object that is gone',
    steps: (store) => {
      store.change(object({ name: 'a', uid: 'before', version: '1' }));
      store.change(object({ name: 'b', version: '0' }));
      store.change(object({ name: 'c', version: '1' }));
      store.remove(object({ name: 'c', version: '2' }));
      for (const name of ['a', 'b']) store.change(object({ name, version: '1' }));
    },
  },
  {
    name: 'a list without what was there',
    steps: (store) => {
      store.change(object({ name: 'c', version: '1' }));
      store.beginRelist();
      for (const name of ['a', 'b']) store.change(object({ name, version: '1' }));
      store.endRelist();
    },
  },
])('the digest tells what is there, not how it came: $name', ({ steps }) => {
  const { store } = recordingStore();
  steps(store);
  const there = ['a', 'b'].map((name) => ({ name, version: '1' }));
  expect(store.digest()).toBe(digestOf(there));
});

const pair: readonly Version[] = [
  { name: 'a', uid: 'a', version: '1' },
  { name: 'b', uid: 'b', version: '1' },
];

test.each<{ readonly name: string; readonly second: readonly Version[] }>([
  { name: 'one object less', second: [] },
  { name: 'a newer version', second: [{ name: 'b', uid: 'b', version: '2' }] },
  { name: 'another uid', second: [{ name: 'b', uid: 'c', version: '1' }] },
])('the digest differs with $name', ({ second }) => {
  expect(digestOf([...pair.slice(0, 1), ...second])).not.toBe(digestOf(pair));
});

test('a projection is given what was kept of the same object, and nothing of another', () => {
  const given: unknown[] = [];
  const store = createWatchStore<ConfigMap, string>({
    project: ({ data }, previous) => {
      given.push(previous);
      return data?.['value'];
    },
    handlers: {},
    isStopped: () => false,
    failed: () => undefined,
  });
  for (const version of ['1', '2']) store.change(object({ version }));
  store.change(object({ uid: 'v', version: '3' }));
  store.remove(object({ uid: 'v', version: '3' }));
  store.change(object({ uid: 'w', version: '4' }));
  expect(given).toEqual([undefined, '1', undefined, undefined]);
});
