import { describe, expect, it } from 'vitest';
import { container, demand, inbound, outbound } from '../planner/demands.ts';
import { experiment } from './experiment.ts';

const full = { stage: 'Destination', limit: 'MaxConnectionsPerAddress', errno: 111 };
const connections = 200;
const targets = ['198.51.100.7:80'];
const both = { connections: 60, targets, farEndKeys: targets, maxConnectionsPerAddress: 80 };

describe('a far end', () => {
  it.each([
    {
      fact: 'of two addresses that take 30 each takes 60',
      flows: [outbound({ connections, destinationAddresses: 2, maxConnectionsPerAddress: 30 })],
      reached: 60,
    },
    {
      fact: 'of three addresses behind one ClusterIP takes three times what each takes',
      flows: [outbound({ connections, farEndAddresses: 3, maxConnectionsPerAddress: 21 })],
      reached: 63,
    },
    {
      fact: 'takes 80 when its busiest address has half of the connections and takes 40',
      flows: [
        outbound({ connections, destinationAddresses: 4, largestSharePercent: 50, maxConnectionsPerAddress: 40 }),
      ],
      reached: 80,
    },
    {
      fact: 'that two flows share takes what it takes from both together',
      flows: [outbound({ name: 'a', ...both }), outbound({ name: 'b', ...both })],
      reached: 80,
    },
  ])('$fact', async ({ flows, reached }) => {
    const { predicted, seen } = await experiment(demand({ outbound: flows }));
    expect(predicted).toEqual({ reached, stoppedBy: full });
    expect(seen).toEqual(predicted);
  });
});

it('two processes accept from the three SO_REUSEPORT sockets that they share', async () => {
  const flow = inbound({ connections: 500, listenSockets: 3, listenBacklog: 20 });
  const { seen, result } = await experiment(
    demand({ containers: [container({ processes: 2 })], inbound: [flow] }),
    400,
  );
  expect(seen).toEqual({ reached: 500, stoppedBy: null });
  expect(result.heldByPod).toBe(500);
});
