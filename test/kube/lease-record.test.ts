import { expect, test } from 'vitest';
import { claimed, freeInMs, observe, released } from '../../src/kube/lease-record.ts';

const now = new Date('2026-11-23T12:00:00.123Z');
const lease = (holderIdentity: string, resourceVersion = '1') => ({
  metadata: { name: 'l', resourceVersion },
  spec: { holderIdentity, leaseDurationSeconds: 15, leaseTransitions: 4, acquireTime: 'then' },
});

test.each([
  { holder: '', afterMs: 0, inMs: 0 },
  { holder: 'we', afterMs: 0, inMs: 0 },
  { holder: 'other', afterMs: 0, inMs: 15_000 },
  { holder: 'other', afterMs: 14_000, inMs: 1_000 },
  { holder: 'other', afterMs: 15_000, inMs: 0 },
  { holder: 'other', afterMs: 16_000, inMs: 0 },
])('held by "$holder" and unchanged for $afterMs ms: may be taken in $inMs ms', ({ holder, afterMs, inMs }) => {
  const observation = observe(lease(holder), undefined, 1_000);
  expect(freeInMs(lease(holder), 'we', { observation, nowMs: 1_000 + afterMs })).toBe(inMs);
});

test('only a change starts the wait anew', () => {
  const first = observe(lease('other', '1'), undefined, 1_000);
  expect(observe(lease('other', '1'), first, 9_000).sinceMs).toBe(1_000);
  expect(observe(lease('other', '2'), first, 9_000).sinceMs).toBe(9_000);
});

test('a new holder is a transition, a renewal is none', () => {
  const claim = { holder: 'we', leaseDurationMs: 15_000, now };
  const time = '2026-11-23T12:00:00.123000Z';
  expect(claimed(lease('other'), claim).spec).toEqual({
    holderIdentity: 'we',
    leaseDurationSeconds: 15,
    acquireTime: time,
    renewTime: time,
    leaseTransitions: 5,
  });
  expect(claimed(lease('we'), claim).spec).toMatchObject({ acquireTime: 'then', renewTime: time, leaseTransitions: 4 });
});

test('a released Lease has no holder and keeps its count', () => {
  expect(released(lease('we'), now).spec).toMatchObject({
    holderIdentity: '',
    leaseDurationSeconds: 1,
    leaseTransitions: 4,
  });
});
