import { expect, test } from 'vitest';
import { projectPod } from '../../src/controller/projections.ts';
import { createSharing } from '../../src/controller/sharing.ts';

test('equal values are one object, others are their own', () => {
  const shared = createSharing<readonly number[]>((value) => JSON.stringify(value));
  const first = shared([1, 2]);
  expect(shared([1, 2])).toBe(first);
  expect(shared([1, 3])).toEqual([1, 3]);
});

test('what was seen lately is shared on, and what was not is forgotten', () => {
  const shared = createSharing<readonly number[]>((value) => JSON.stringify(value));
  const [kept, forgotten] = [shared([-1]), shared([-2])];
  for (let number = 0; number < 50_000; number += 1) {
    shared([number]);
    if (number % 10_000 === 0) shared([-1]);
  }
  expect(shared([-1])).toBe(kept);
  expect(shared([-2])).not.toBe(forgotten);
});

const podWith = (name: string, memory: string) =>
  projectPod({
    metadata: { name },
    spec: { containers: [{ name: 'program', resources: { limits: { memory } } }] },
  })!;

test('pods of one template share what is known of it, and another memory limit is another template', () => {
  const first = podWith('a', '64Mi');
  expect(podWith('b', '64Mi').observed).toBe(first.observed);
  expect(podWith('b', '64Mi').ownSysctls).toBe(first.ownSysctls);
  expect(podWith('c', '128Mi').observed.memoryLimitBytes).toEqual(new Map([['program', 128 * 1024 * 1024]]));
});
