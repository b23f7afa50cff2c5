import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { routeFor } from '../../src/prove/connection-source.ts';

const targetsOf = (count: number) => Array.from({ length: count }, (_, ip) => ({ ip, port: 80 }));

const routes = (targets: number, busiestPercent: number | undefined, connections: number) =>
  Array.from({ length: connections }, (_, index) => routeFor({ targets: targetsOf(targets), busiestPercent }, index));

it('connections go to the targets in turn', () => {
  expect(routes(3, undefined, 5).map(({ target, position }) => [target.ip, position])).toEqual([
    [0, 0],
    [1, 0],
    [2, 0],
    [0, 1],
    [1, 1],
  ]);
});

it('the busiest target always has its share, rounded up, as the planner reckons it', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 20 }),
      fc.integer({ min: 1, max: 100 }),
      fc.integer({ min: 1, max: 400 }),
      (targets, percent, connections) => {
        const busiest = routes(targets, percent, connections).filter(({ target }) => target.ip === 0);
        expect(busiest).toHaveLength(Math.ceil((connections * percent) / 100));
      },
    ),
  );
});

it('a position says how many went to the same target before', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.option(fc.integer({ min: 1, max: 99 })), (targets, percent) => {
      const seen = new Map<number, number>();
      for (const { target, position } of routes(targets, percent ?? undefined, 200)) {
        expect(position).toBe(seen.get(target.ip) ?? 0);
        seen.set(target.ip, position + 1);
      }
    }),
  );
});
