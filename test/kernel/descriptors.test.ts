import { describe, expect, it } from 'vitest';
import { container, demand, inbound, outbound } from '../planner/demands.ts';
import { experiment } from './experiment.ts';

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
