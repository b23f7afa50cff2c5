import { describe, expect, it } from 'vitest';
import { container, demand, inbound, outbound } from '../planner/demands.ts';
import { predictionFor } from '../../src/prove/prediction.ts';
import { startBench } from './bench-pod.ts';
import { experiment, stateOf } from './experiment.ts';

const descriptorsRunOut = { stage: 'Process', limit: 'RLIMIT_NOFILE', errno: 24 };
const reservedDescriptors = 40;

describe('a process with a limit of sixty, forty of them its own', () => {
  it.each([
    { fact: 'holds twenty connections', containers: [container({ reservedDescriptors })], reached: 20 },
    {
      fact: 'holds ten that take two descriptors each',
      containers: [container({ reservedDescriptors, descriptorsPerConnection: 2 })],
      reached: 10,
    },
    {
      fact: 'holds sixty with two more like it',
      containers: [container({ reservedDescriptors, processes: 3 })],
      reached: 60,
    },
  ])('$fact, accepted or opened', async ({ containers, reached }) => {
    const expected = { reached, stoppedBy: descriptorsRunOut };
    const accepts = await experiment(demand({ containers, inbound: [inbound({ connections: 100 })] }), 60);
    expect([accepts.predicted, accepts.seen]).toEqual([expected, expected]);
    const opens = await experiment(demand({ containers, outbound: [outbound({ connections: 100 })] }), 60);
    expect([opens.predicted, opens.seen]).toEqual([expected, expected]);
  });

  it('holds twenty of what it accepts and opens together', async () => {
    const { predicted, seen } = await experiment(
      demand({
        containers: [container({ reservedDescriptors })],
        inbound: [inbound({ connections: 12 })],
        outbound: [outbound({ connections: 12 })],
      }),
      60,
    );
    expect(predicted).toEqual({ reached: 20, stoppedBy: descriptorsRunOut });
    expect(seen).toEqual(predicted);
  });

  it('holds what is planned, and not one more', async () => {
    const enough = demand({
      containers: [container({ reservedDescriptors })],
      inbound: [inbound({ connections: 20 })],
    });
    expect((await experiment(enough, 60)).seen).toEqual({ reached: 20, stoppedBy: null });
    expect((await experiment(enough, 59)).seen).toEqual({ reached: 19, stoppedBy: descriptorsRunOut });
  });
});

it('clients do not see that a server has no descriptors left: what it cannot accept is connected all the same', async () => {
  const flow = inbound({ connections: 50 });
  const state = stateOf(demand({ containers: [container({ reservedDescriptors })], inbound: [flow] }), 60);
  const predicted = predictionFor(state);
  await using bench = await startBench(state, { reservedDescriptors, room: 60 - reservedDescriptors });
  const { open: plan, listeners } = bench.topology.flows[0]!;
  const accepting = bench.pod.accept({ listeners, from: 0, until: 50 });
  const opened = await bench.peer.open({ plan, from: 0, until: 50, window: 50 });
  expect([opened.count, opened.errno]).toEqual([50, 0]);
  expect(await accepting).toMatchObject({ count: predicted.reached, errno: 24 });
  expect(await bench.counters()).toMatchObject({ tcpEstablished: 50, listenOverflows: 0, listenDrops: 0 });
});
