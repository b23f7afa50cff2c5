import { describe, expect, test } from 'vitest';
import { flowUsageFor, plannedFlowsFor } from '../../src/agent/planned-flows.ts';
import type { PlanSection } from '../../src/api/pod-annotation.ts';

type SectionFlow = PlanSection['flows'][number];

const inbound = (name: string, port: number): SectionFlow => ({ name, direction: 'Inbound', port, targets: [] });
const outbound = (name: string, ...targets: readonly string[]): SectionFlow => ({
  name,
  direction: 'Outbound',
  port: 0,
  targets: [...targets],
});

const sixteen = Array.from({ length: 16 }, (_, at) => `10.0.0.${at}:80`);
const nothing = { localPorts: [], remotes: [], remotePorts: [], hasRest: false };
const restOfAll = { name: undefined, match: { ...nothing, hasRest: true } };

describe('a flow has', () => {
  test.each([
    ['what its port accepted', inbound('a', 1883), { localPorts: [1883] }],
    [
      'what goes to its addresses, in both families',
      outbound('a', '10.0.0.5:9092', '[fd00::5]:9093'),
      {
        remotes: [
          { ip: '10.0.0.5', port: 9092 },
          { ip: 'fd00::5', port: 9093 },
        ],
      },
    ],
    ['what goes to the port of its Service', outbound('a', 'messaging/broker:1883'), { remotePorts: [1883] }],
  ])('%s', (_, flow, match) => {
    expect(plannedFlowsFor([flow])).toEqual([{ name: 'a', match: { ...nothing, ...match } }, restOfAll]);
  });

  test.each([
    ['nobody can list its targets', outbound('a'), []],
    [
      'its list may have been cut',
      outbound('a', ...sixteen),
      sixteen.map((_, at) => ({ ip: `10.0.0.${at}`, port: 80 })),
    ],
  ])('the rest where %s', (_, flow, remotes) => {
    expect(plannedFlowsFor([flow])).toEqual([{ name: 'a', match: { ...nothing, remotes, hasRest: true } }]);
  });
});

describe('flows are not told', () => {
  test.each([
    ['that share a port', [inbound('a', 1883), inbound('b', 1883)]],
    ['that share one of their addresses', [outbound('a', '10.0.0.5:1', '10.0.0.6:1'), outbound('b', '10.0.0.6:1')]],
    ['to two Services with one port', [outbound('a', 'x/one:443'), outbound('b', 'x/two:443')]],
    ['that nobody can list, when there are two', [outbound('a'), outbound('b', ...sixteen)]],
    ['whose target says no port', [outbound('a', 'x/one'), outbound('b', 'x/one:99999')]],
  ])('%s', (_, flows) => {
    const names = plannedFlowsFor([...flows, inbound('c', 7)]).map(({ name }) => name);
    expect(names.filter(Boolean)).toEqual(['c']);
  });

  test.each([
    // to the Service, to anywhere else: what is told
    [{ service: 0, rest: 0 }, [{ name: 'broker', connections: 0, timeWait: 0 }]],
    [{ service: 9, rest: 4 }, [{ name: 'broker', connections: 9, timeWait: 0 }]],
    [{ service: 0, rest: 4 }, []],
  ])('while connections go elsewhere than to the port of their Service: %o', ({ service, rest }, told) => {
    const planned = plannedFlowsFor([outbound('broker', 'messaging/broker:1883')]);
    const counts = [service, rest].map((established) => ({ established, timeWait: 0 }));
    expect(flowUsageFor(planned, counts)).toEqual(told);
  });
});

test('as many flows as a budget has are told, and what none of them has beside them', () => {
  const flows = Array.from({ length: 32 }, (_, at) => inbound(`flow-${at}`, 1000 + at));
  const planned = plannedFlowsFor(flows);
  expect(planned).toHaveLength(33);
  const counts = planned.map((_, at) => ({ established: at, timeWait: 2 * at }));
  expect(flowUsageFor(planned, counts).at(-1)).toEqual({ name: 'flow-31', connections: 31, timeWait: 62 });
});
