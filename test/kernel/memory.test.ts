import { expect, it } from 'vitest';
import { container, demand, inbound } from '../planner/demands.ts';
import { bindBucketBytes, socketBytes } from '../../src/planner/kernel.ts';
import { experiment } from './experiment.ts';

it('each end of 60,000 connections takes what the planner reckons, within a twentieth', async () => {
  const connections = 60_000;
  const { seen, result } = await experiment(
    demand({ containers: [container()], inbound: [inbound({ connections })] }),
    1_000_000,
  );
  expect(seen).toEqual({ reached: connections, stoppedBy: null });
  // The clients' source ports are distinct: a bind bucket for one end of the two.
  const predicted = socketBytes + bindBucketBytes / 2;
  expect(result.kernelBytesPerEnd).toBeGreaterThan(0.95 * predicted);
  expect(result.kernelBytesPerEnd).toBeLessThan(1.05 * predicted);
});
