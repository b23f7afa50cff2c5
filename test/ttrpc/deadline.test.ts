import { expect, it } from 'vitest';
import { Deadline, rejectedBy } from '../../src/ttrpc/deadline.ts';

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
const never = new AbortController().signal;

it('a deadline aborts after its time', async () => {
  using deadline = new Deadline(never, 5);
  await expect(rejectedBy(deadline.signal)).rejects.toMatchObject({ kind: 'DeadlineExceeded' });
});

it('a deadline aborts with its parent, also with one that is aborted already', async () => {
  const parent = new AbortController();
  using before = new Deadline(parent.signal, 60_000);
  parent.abort(new Error('enough'));
  using after = new Deadline(parent.signal, undefined);
  await expect(rejectedBy(before.signal)).rejects.toThrow('enough');
  await expect(rejectedBy(after.signal)).rejects.toThrow('enough');
});

it('a deadline that is disposed of keeps no timer and does not follow its parent', () => {
  const parent = new AbortController();
  const timersBefore = timers();
  const deadline = new Deadline(parent.signal, 60_000);
  expect(timers()).toBe(timersBefore + 1);
  deadline[Symbol.dispose]();
  parent.abort();
  expect(timers()).toBe(timersBefore);
  expect(deadline.signal.aborted).toBe(false);
});

it('a deadline further away than a timer can count does not abort at once', async () => {
  using deadline = new Deadline(never, Number.MAX_SAFE_INTEGER);
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(deadline.signal.aborted).toBe(false);
});
