import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { sleep, startDeadline } from '../../src/kube/deadline.ts';

test('a deadline that passes says so', async () => {
  using deadline = startDeadline(new AbortController().signal, 5);
  await sleep(1_000, deadline.signal);
  expect(deadline.hasExpired()).toBe(true);
});

test('a caller that gives up is no deadline that passed', () => {
  const caller = new AbortController();
  using deadline = startDeadline(caller.signal, 1_000);
  caller.abort(new Error('enough'));
  expect(deadline.signal.reason).toEqual(new Error('enough'));
  expect(deadline.hasExpired()).toBe(false);
});

test('ten thousand deadlines leave no listener on a signal that lives on', () => {
  const { signal } = new AbortController();
  for (let index = 0; index < 10_000; index += 1) {
    using deadline = startDeadline(signal, 1_000);
    expect(deadline.signal.aborted).toBe(false);
  }
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('sleeping ends at once when the signal fires or has fired', async () => {
  const controller = new AbortController();
  const asleep = sleep(60_000, controller.signal);
  controller.abort();
  await asleep;
  await sleep(60_000, controller.signal);
  expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
});
