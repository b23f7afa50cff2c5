import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { KubeError } from '../../src/kube/kube-error.ts';
import { startWorkQueue, type WorkFailure, type WorkQueueOptions } from '../../src/kube/work-queue.ts';
import { until } from './until.ts';

/** Work that is recorded and goes on until the test lets it end. */
function gatedQueue(options: Partial<WorkQueueOptions> = {}) {
  const controller = new AbortController();
  onTestFinished(() => controller.abort());
  const started: string[] = [];
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const queue = startWorkQueue({
    workers: 2,
    work: async (key) => {
      started.push(key);
      const gate = Promise.withResolvers<void>();
      gates.set(key, gate);
      await gate.promise;
      return {};
    },
    signal: controller.signal,
    ...options,
  });
  return { queue, started, stop: () => controller.abort(), finish: (key: string) => gates.get(key)?.resolve() };
}

test('a key that waits is not added twice', async () => {
  const { queue, started, finish } = gatedQueue({ workers: 1 });
  for (const key of ['a', 'b', 'b', 'b']) queue.add(key);
  expect(queue.waiting()).toBe(1);
  finish('a');
  await until(() => started, ['a', 'b']);
  finish('b');
  expect(started).toEqual(['a', 'b']);
});

test('the first that waits says for how long, however often it is added', async () => {
  const { queue, finish } = gatedQueue({ workers: 1 });
  for (const key of ['a', 'b']) queue.add(key);
  await pause(50);
  const addedAtMs = performance.now();
  for (const key of ['b', 'c']) queue.add(key);
  expect(queue.oldestMs()).toBeGreaterThanOrEqual(45);
  finish('a');
  await until(() => queue.waiting(), 1);
  expect(queue.oldestMs()).toBeLessThanOrEqual(performance.now() - addedAtMs);
  finish('b');
  await until(() => queue.oldestMs(), 0);
});

test('a key whose work failed is counted until it succeeds', async () => {
  let fails = true;
  const { queue } = gatedQueue({
    backoff: { baseMs: 20, maximumMs: 20 },
    work: async () => {
      if (fails) throw new Error('no');
      return {};
    },
  });
  queue.add('a');
  await until(() => queue.failing(), 1);
  fails = false;
  await until(() => queue.failing(), 0);
});

test('a key added while it is worked on is worked on once more, by no second worker at the same time', async () => {
  const { queue, started, finish } = gatedQueue();
  queue.add('a');
  queue.add('a');
  queue.add('a');
  await pause(20);
  expect(started).toEqual(['a']);
  finish('a');
  await until(() => started, ['a', 'a']);
});

test('a key that waits for its own end blocks no other', () => {
  const { queue, started } = gatedQueue();
  for (const key of ['a', 'a', 'b']) queue.add(key);
  expect(started).toEqual(['a', 'b']);
});

test('there are as many workers as asked for', async () => {
  const { queue, started, finish } = gatedQueue({ workers: 2 });
  for (const key of ['a', 'b', 'c']) queue.add(key);
  expect(started).toEqual(['a', 'b']);
  finish('b');
  await until(() => started, ['a', 'b', 'c']);
});

test('of two times the earlier counts, and the work is done once', async () => {
  const { queue, started } = gatedQueue();
  queue.add('a', { afterMs: 40 });
  queue.add('a', { afterMs: 5_000 });
  queue.add('b', { afterMs: 5_000 });
  queue.add('b', { afterMs: 10 });
  await until(() => started, ['b', 'a']);
  queue.add('c', { afterMs: 20 });
  queue.forget('c');
  await pause(60);
  expect(started).toEqual(['b', 'a']);
});

test('work that fails is done again, later and later, until it succeeds; then its failures are forgotten', async () => {
  const failures: WorkFailure[] = [];
  let remaining = 3;
  const { queue } = gatedQueue({
    backoff: { baseMs: 4, maximumMs: 1_000 },
    work: async () => {
      remaining -= 1;
      if (remaining >= 0) throw new Error(`${remaining} to go`);
      return {};
    },
    failed: (failure) => failures.push(failure),
  });
  queue.add('a');
  await until(() => remaining, -1);
  expect(failures.map(({ failures: count }) => count)).toEqual([1, 2, 3]);
  expect(failures[2]!.retryInMs).toBeGreaterThanOrEqual(8);
  remaining = 1;
  queue.add('a');
  await until(() => failures.at(-1)!.failures, 1);
});

test('a failure that names its time is done again then', async () => {
  const error = new KubeError('slow down', { kind: 'TooManyRequests', retryAfterMs: 60_000 });
  const failures: WorkFailure[] = [];
  const { queue } = gatedQueue({ work: () => Promise.reject(error), failed: (failure) => failures.push(failure) });
  queue.add('a');
  await until(() => failures.length, 1);
  expect(failures[0]!.retryInMs).toBeGreaterThanOrEqual(60_000);
});

test('a worker that is told to ask for less rests that long, and what was answered goes on', async () => {
  const error = new KubeError('slow down', { kind: 'TooManyRequests', retryAfterMs: 60_000 });
  const started: string[] = [];
  const { queue } = gatedQueue({
    work: async (key) => {
      started.push(key);
      if (key === 'refused') throw error;
      return {};
    },
  });
  for (const key of ['refused', 'a', 'b']) queue.add(key);
  await until(() => started, ['refused', 'a', 'b']);
  for (const key of ['refused too', 'refused', 'c']) queue.add(key);
  await until(() => started.length, 5);
  expect(started.slice(3)).toEqual(['refused too', 'c']);
});

test('what waits unhurried is worked on when nothing else is, and is not done twice when it is hurried', async () => {
  const { queue, started, finish } = gatedQueue({ workers: 1 });
  for (const key of ['first', 'a', 'b', 'c']) queue.addUnhurried(key);
  queue.add('changed');
  queue.add('b');
  queue.addUnhurried('changed');
  expect(queue.waiting()).toBe(4);
  for (const [position, key] of ['first', 'changed', 'b', 'a', 'c'].entries()) {
    await until(() => started[position], key);
    finish(key);
  }
  await pause(20);
  expect(started).toEqual(['first', 'changed', 'b', 'a', 'c']);
});

test('work can ask to be done again without having failed', async () => {
  const results = [{ againAfterMs: 5 }, {}];
  const { queue } = gatedQueue({ work: async () => results.shift() ?? {} });
  queue.add('a');
  await until(() => results.length, 0);
});

test('stopping lets the work under way end, and begins nothing more', async () => {
  const { queue, started, stop, finish } = gatedQueue({ workers: 1 });
  queue.add('a');
  queue.add('b');
  queue.add('c', { afterMs: 5 });
  stop();
  expect(queue.waiting()).toBe(0);
  const drained = queue.drained.then(() => 'drained');
  expect(await Promise.race([drained, pause(30, 'waiting')])).toBe('waiting');
  finish('a');
  expect(await drained).toBe('drained');
  queue.add('d');
  await pause(20);
  expect(started).toEqual(['a']);
});

test('the signal that stops the queue reaches the work', async () => {
  const { queue, stop } = gatedQueue({
    work: async (_key, signal) => {
      await pause(60_000, undefined, { signal });
      return {};
    },
  });
  queue.add('a');
  stop();
  await expect(queue.drained).resolves.toBeUndefined();
});

async function busyWork(): Promise<object> {
  const endMs = performance.now() + 5;
  while (performance.now() < endMs);
  return {};
}

test('work that never waits leaves turns to others', async () => {
  const controller = new AbortController();
  const queue = startWorkQueue({ work: busyWork, workers: 2, signal: controller.signal });
  for (let key = 0; key < 40; key += 1) queue.add(`${key}`);
  await pause(0);
  expect(queue.waiting()).toBeGreaterThan(20);
  controller.abort();
  await queue.drained;
});
