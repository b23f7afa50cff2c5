import { expect, test } from 'vitest';
import { nothingObserved, type Observed } from '../../src/api/demand.ts';
import { type Memory, settle, settlingMs } from '../../src/controller/settle.ts';

const minuteMs = 60_000;

/** Settles one observation after another: [minute, pods], and gives what was planned for each time. */
const podsPlanned = (
  ...seen: readonly (readonly [minute: number, pods: number])[]
): readonly (number | undefined)[] => {
  let memory: Memory = new Map();
  return seen.map(([minute, pods]) => {
    const scale = pods === 0 ? undefined : { pods, podsPerNode: pods };
    const settled = settle(memory, { ...nothingObserved('n'), scale }, minute * minuteMs);
    memory = settled.memory;
    return settled.observed.scale?.pods;
  });
};

const endpointsPlanned = (
  ...seen: readonly (readonly [minute: number, ready: number])[]
): readonly (number | undefined)[] => {
  let memory: Memory = new Map();
  return seen.map(([minute, ready]) => {
    const services = new Map([['n/broker', { headless: false, readyEndpoints: new Map([[1883, ready]]) }]]);
    const settled = settle(memory, { ...nothingObserved('n'), services }, minute * minuteMs);
    memory = settled.memory;
    return settled.observed.services.get('n/broker')?.readyEndpoints.get(1883);
  });
};

test.each([
  {
    fact: 'more pods count at once',
    seen: [
      [0, 2],
      [1, 5],
    ],
    planned: [2, 5],
  },
  {
    fact: 'fewer pods count after ten minutes',
    seen: [
      [0, 5],
      [1, 2],
      [10.9, 2],
      [11, 2],
    ],
    planned: [5, 5, 5, 2],
  },
  {
    fact: 'each higher number holds its own ten minutes',
    seen: [
      [0, 5],
      [1, 4],
      [3, 2],
      [11, 2],
      [13, 2],
    ],
    planned: [5, 5, 5, 4, 2],
  },
  {
    fact: 'a new peak drops the lower ones',
    seen: [
      [0, 3],
      [1, 1],
      [2, 6],
      [3, 1],
      [12, 1],
      [13, 1],
    ],
    planned: [3, 3, 6, 6, 6, 1],
  },
  {
    fact: 'no pods at all is no scale, after ten minutes',
    seen: [
      [0, 3],
      [1, 0],
      [12, 0],
    ],
    planned: [3, 3, undefined],
  },
] as const)('$fact', ({ seen, planned }) => {
  expect(podsPlanned(...seen)).toEqual(planned);
});

test.each([
  {
    fact: 'fewer endpoints count at once',
    seen: [
      [0, 3],
      [1, 1],
    ],
    planned: [3, 1],
  },
  {
    fact: 'more endpoints count after ten minutes',
    seen: [
      [0, 1],
      [1, 3],
      [11, 3],
    ],
    planned: [1, 1, 3],
  },
  {
    fact: 'an outage holds the last number, for ten minutes',
    seen: [
      [0, 3],
      [1, 0],
      [5, 0],
      [11, 0],
    ],
    planned: [3, 3, 3, 0],
  },
  {
    fact: 'the first endpoints count at once',
    seen: [
      [0, 0],
      [1, 3],
    ],
    planned: [0, 3],
  },
  {
    fact: 'endpoints that come back after an outage count at once',
    seen: [
      [0, 3],
      [1, 0],
      [2, 3],
      [3, 3],
    ],
    planned: [3, 3, 3, 3],
  },
] as const)('$fact', ({ seen, planned }) => {
  expect(endpointsPlanned(...seen)).toEqual(planned);
});

const observed = (pods: number): Observed => ({ ...nothingObserved('n'), scale: { pods, podsPerNode: 1 } });

test('it says when the first of what holds on runs out', () => {
  const first = settle(new Map(), observed(4), 0);
  const second = settle(first.memory, observed(2), minuteMs);
  const third = settle(second.memory, observed(2), 3 * minuteMs);

  expect(first.settlesInMs).toBeUndefined();
  expect(second.settlesInMs).toBe(settlingMs);
  expect(third.settlesInMs).toBe(settlingMs - 2 * minuteMs);
});
