import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Demand } from '../../src/planner/demand.ts';
import { container, demand, inbound, outbound } from '../planner/demands.ts';
import { experiment } from './experiment.ts';

const half = fc.integer({ min: 5, max: 40 });

/** Outbound and inbound flows of small pods: few ports, few descriptors, so that any of them may be what binds. */
const smallPod: fc.Arbitrary<Demand> = fc
  .record({
    halfOfPorts: half,
    opens: fc.integer({ min: 1, max: 200 }),
    accepts: fc.integer({ min: 1, max: 200 }),
    binding: fc.constantFrom('Late', 'Early', 'Explicit'),
    destinationAddresses: fc.integer({ min: 1, max: 3 }),
    destinationPorts: fc.integer({ min: 1, max: 2 }),
    maximumExtra: fc.integer({ min: 0, max: 2 }),
    spread: fc.constantFrom('Transparent', 'Application'),
    processes: fc.integer({ min: 1, max: 2 }),
    descriptorsPerConnection: fc.integer({ min: 1, max: 2 }),
    clientAddresses: fc.integer({ min: 1, max: 3 }),
    portsPerAddress: fc.integer({ min: 10, max: 90 }),
    reserved: fc.integer({ min: 0, max: 5 }),
    listenSockets: fc.integer({ min: 1, max: 3 }),
    largestSharePercent: fc.option(fc.integer({ min: 1, max: 100 }), { nil: undefined }),
    maxConnectionsPerAddress: fc.option(fc.integer({ min: 5, max: 100 }), { nil: undefined }),
  })
  .map((drawn) => {
    const { processes, descriptorsPerConnection, destinationAddresses, destinationPorts, binding } = drawn;
    const { listenSockets, maxConnectionsPerAddress } = drawn;
    const declaredPorts = Array.from({ length: drawn.reserved }, (_, at) => 40_000 + at);
    // A share is one of addresses and of targets alike where each address has one port.
    const largestSharePercent = destinationPorts === 1 ? drawn.largestSharePercent : undefined;
    const destination = { destinationAddresses, destinationPorts, largestSharePercent, maxConnectionsPerAddress };
    const portRange = { low: 40_000, high: 40_000 + 2 * drawn.halfOfPorts - 1 };
    const clients = { addresses: drawn.clientAddresses, portsPerAddress: drawn.portsPerAddress };
    return demand({
      containers: [container({ reservedDescriptors: 50, processes, descriptorsPerConnection })],
      pod: { hostNetwork: false, declaredPorts, portRange, kubeletReservesPorts: true },
      extraAddresses: { maximumExtra: drawn.maximumExtra, spread: drawn.spread, ownCounts: true },
      inbound: [inbound({ connections: drawn.accepts, clients, listenSockets })],
      outbound: [outbound({ connections: drawn.opens, binding, ...destination })],
    });
  });

it('what any small pod reaches is what the planner says', { timeout: 120_000, retry: 0 }, async () => {
  await fc.assert(
    fc.asyncProperty(smallPod, fc.integer({ min: 60, max: 300 }), async (pod, nofile) => {
      const { predicted, seen } = await experiment(pod, nofile);
      expect(seen.reached).toBe(predicted.reached);
      expect(seen.stoppedBy === null).toBe(predicted.stoppedBy === null);
    }),
    { numRuns: 15, endOnFailure: true },
  );
});
