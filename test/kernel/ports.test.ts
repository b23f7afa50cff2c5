import { describe, expect, it } from 'vitest';
import type { Demand } from '../../src/planner/demand.ts';
import { demand, extra, inbound, outbound } from '../planner/demands.ts';
import { experiment, hundredPorts } from './experiment.ts';

const pod = (changes: Partial<Demand['pod']> = {}): Demand['pod'] => ({
  hostNetwork: false,
  declaredPorts: [],
  portRange: hundredPorts,
  kubeletReservesPorts: true,
  ...changes,
});
const portsRunOut = { stage: 'Socket', limit: 'net.ipv4.ip_local_port_range', errno: 99 };
const portsRunOutAtBind = { ...portsRunOut, errno: 98 };
const nothing = null;

describe('a pod with a hundred ports', () => {
  it.each([
    {
      fact: 'has a hundred connections to one destination',
      base: demand({ pod: pod(), outbound: [outbound({ connections: 150 })] }),
      expected: { reached: 100, stoppedBy: portsRunOut },
    },
    {
      fact: 'has as many by the choice of the kernel',
      base: demand({ pod: pod(), outbound: [outbound({ connections: 150, portSelection: 'Kernel' })] }),
      expected: { reached: 100, stoppedBy: portsRunOut },
    },
    {
      fact: 'has two fewer for two reserved ports',
      base: demand({ pod: pod({ declaredPorts: [40_010, 40_011] }), outbound: [outbound({ connections: 150 })] }),
      expected: { reached: 98, stoppedBy: portsRunOut },
    },
    {
      fact: 'has one of one port',
      base: demand({
        pod: pod({ portRange: { low: 40_000, high: 40_000 } }),
        outbound: [outbound({ connections: 3 })],
      }),
      expected: { reached: 1, stoppedBy: portsRunOut },
    },
    {
      fact: 'has one fewer for its own listener inside the range, and what that accepts',
      base: demand({
        pod: pod({ declaredPorts: [40_050] }),
        inbound: [inbound({ connections: 7, port: 40_050 })],
        outbound: [outbound({ connections: 150 })],
      }),
      expected: { reached: 7 + 99, stoppedBy: portsRunOut },
    },
    {
      fact: 'has a hundred for each of 2 addresses × 3 ports of the destination',
      base: demand({
        pod: pod(),
        outbound: [outbound({ connections: 700, destinationAddresses: 2, destinationPorts: 3 })],
      }),
      expected: { reached: 600, stoppedBy: portsRunOut },
    },
    {
      fact: 'has m · k · P with 3 source addresses and 2 destinations, bound late',
      base: demand({
        pod: pod(),
        ...extra(2),
        outbound: [outbound({ connections: 700, destinationAddresses: 2 })],
      }),
      expected: { reached: 3 * 2 * 100, stoppedBy: portsRunOut },
    },
    {
      fact: 'has m · P, whatever the number of destinations, bound early',
      base: demand({
        pod: pod(),
        ...extra(2, { spread: 'Application' }),
        outbound: [outbound({ connections: 700, binding: 'Early', destinationAddresses: 4 })],
      }),
      expected: { reached: 3 * 100, stoppedBy: portsRunOutAtBind },
    },
    {
      fact: 'has more than its range with explicit ports',
      base: demand({ pod: pod(), outbound: [outbound({ connections: 350, binding: 'Explicit' })] }),
      expected: { reached: 350, stoppedBy: nothing },
    },
    {
      fact: 'fills the busiest target first: a quarter of the connections takes a hundred ports',
      base: demand({
        pod: pod(),
        outbound: [outbound({ connections: 500, destinationAddresses: 10, largestSharePercent: 25 })],
      }),
      expected: { reached: 400, stoppedBy: portsRunOut },
    },
    {
      fact: 'shares the ports to one target between two flows',
      base: demand({
        pod: pod(),
        outbound: [
          outbound({ name: 'a', connections: 60, targets: ['198.51.100.7:80'] }),
          outbound({ name: 'b', connections: 60, targets: ['198.51.100.7:80'] }),
        ],
      }),
      expected: { reached: 100, stoppedBy: portsRunOut },
    },
  ])('$fact', async ({ base, expected }) => {
    const { predicted, seen } = await experiment(base);
    expect(predicted).toEqual(expected);
    expect(seen).toEqual(expected);
  });
});

describe('a pod with a hundred and one ports, of which the kernel may miss one,', () => {
  it.each([
    { how: 'bound late', flow: outbound({ connections: 150, portSelection: 'Kernel' }), errno: 99 },
    { how: 'bound late with IP_LOCAL_PORT_RANGE', flow: outbound({ connections: 150 }), errno: 99 },
    { how: 'bound early', flow: outbound({ connections: 150, binding: 'Early' }), errno: 98 },
  ])('has at least the hundred that are planned, $how', async ({ flow, errno }) => {
    const odd = pod({ portRange: { low: 40_000, high: 40_100 } });
    const { predicted, seen } = await experiment(demand({ pod: odd, outbound: [flow] }));
    expect(predicted).toEqual({ reached: 100, stoppedBy: { ...portsRunOut, errno } });
    expect([predicted, { ...predicted, reached: 101 }]).toContainEqual(seen);
  });
});

describe('clients of a pod', () => {
  it.each([
    { addresses: 1, portsPerAddress: 80, reached: 80 },
    { addresses: 3, portsPerAddress: 33, reached: 99 },
  ])('$addresses with $portsPerAddress ports each open $reached connections', async ({ reached, ...clients }) => {
    const { predicted, seen } = await experiment(demand({ inbound: [inbound({ connections: 200, clients })] }));
    expect(predicted).toEqual({ reached, stoppedBy: { stage: 'Clients', limit: 'ClientPorts', errno: 99 } });
    expect(seen).toEqual(predicted);
  });
});

describe('a translator on the way', () => {
  it.each([
    { addresses: 1, portsPerAddress: 60, destinationAddresses: 1, reached: 60 },
    { addresses: 2, portsPerAddress: 30, destinationAddresses: 3, reached: 180 },
  ])(
    '$addresses × $portsPerAddress ports to $destinationAddresses destinations hold $reached',
    async ({ addresses, portsPerAddress, destinationAddresses, reached }) => {
      const translator = { type: 'NAT', name: 'gateway', sharedBy: 'Pod', lingerSeconds: 0 } as const;
      const path = [{ ...translator, addresses, portsPerAddress, idleTimeoutSeconds: undefined }];
      const base = demand({ outbound: [outbound({ connections: 200, destinationAddresses, path })] });
      const { predicted, seen } = await experiment(base);
      expect(predicted).toEqual({ reached, stoppedBy: { stage: 'NAT', limit: 'TranslatorPorts', errno: 110 } });
      expect(seen).toEqual(predicted);
    },
  );
});
