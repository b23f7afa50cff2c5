import { describe, expect, it } from 'vitest';
import type { Demand } from '../../src/planner/demand.ts';
import { plan } from '../../src/planner/plan.ts';
import { stateFor, type Phase } from '../../src/prove/proof-state.ts';
import { topologyFor } from '../../src/prove/topology.ts';
import { container, demand, inbound, outbound } from '../planner/demands.ts';

const topologyOf = (base: Demand, phase: Phase = 'after', scale = 1) =>
  topologyFor(stateFor(phase, { demand: base, plan: plan(base), facts: { nrOpen: 1_048_576 }, scale }));
const translator = {
  type: 'NAT',
  name: 'gateway',
  sharedBy: 'Pod',
  lingerSeconds: 0,
  idleTimeoutSeconds: undefined,
} as const;
const nat = (addresses: number, portsPerAddress: number) => ({ ...translator, addresses, portsPerAddress });

describe('the namespaces of a proof', () => {
  it('are a pod and its peer where nothing is translated', () => {
    const { namespaces, links } = topologyOf(demand({ outbound: [outbound()] }));
    expect(namespaces.map(({ name }) => name)).toEqual(['pod', 'peer']);
    expect(links.map(({ from, to }) => [from, to])).toEqual([['pod', 'peer']]);
  });

  it('have a router for each translator, those nearest to the pod first', () => {
    const flows = {
      inbound: [inbound({ path: [nat(1, 10), nat(1, 20)] })],
      outbound: [outbound({ path: [nat(1, 30)] })],
    };
    const { namespaces } = topologyOf(demand(flows));
    expect(namespaces.map(({ name }) => name)).toEqual(['pod', 'router-1', 'router-2', 'router-3', 'peer']);
    const spans = namespaces.map(({ rules }) => /snat to \S+:(\d+-\d+)/.exec(rules)?.[1]);
    expect(spans).toEqual([undefined, '1024-1043', '1024-1033', '1024-1053', undefined]);
  });

  it('a translator with two addresses to three targets takes three connections in a row for each', () => {
    const { namespaces } = topologyOf(
      demand({ outbound: [outbound({ destinationAddresses: 3, path: [nat(2, 60_000)] })] }),
    );
    expect(namespaces[1]?.rules.split('\n').filter((line) => line.includes('snat to'))).toEqual([
      '    oifname right ip daddr 100.64.0.1-100.64.0.3 meta l4proto tcp numgen inc mod 6 < 3 snat to 10.1.1.1:1024-61023',
      '    oifname right ip daddr 100.64.0.1-100.64.0.3 meta l4proto tcp snat to 10.1.1.2:1024-61023',
    ]);
  });

  it('a balancer that keeps the address of its clients is no router', () => {
    const keeps = { ...translator, type: 'LoadBalancer', addresses: 1, portsPerAddress: undefined } as const;
    expect(topologyOf(demand({ inbound: [inbound({ path: [keeps] })] })).namespaces).toHaveLength(2);
  });
});

describe('the sysctls of the pod', () => {
  const base = demand({ outbound: [outbound({ connections: 40_000 })] });
  const rangeOf = (phase: Phase, scale = 1) =>
    topologyOf(base, phase, scale).namespaces[0]?.sysctls.find(({ name }) => name.endsWith('port_range'))?.value;

  it.each([
    { phase: 'before', scale: 1, range: '32768 60999' },
    { phase: 'after', scale: 1, range: '10240 65535' },
    { phase: 'before', scale: 0.01, range: '32768 33049' }, // 282 ports
    { phase: 'after', scale: 0.001, range: '10240 10295' }, // 56 ports: 55.3 to the next even number
  ] as const)('$phase the plan at scale $scale: the range $range', ({ phase, scale, range }) => {
    expect(rangeOf(phase, scale)).toBe(range);
  });
});

describe('the flows of a proof', () => {
  it('that name one target share its address', () => {
    const targets = ['198.51.100.7:80'];
    const { flows } = topologyOf(demand({ outbound: [outbound({ targets }), outbound({ name: 'b', targets })] }));
    expect(flows[0]?.open.targets).toEqual(flows[1]?.open.targets);
  });

  it('that name none have addresses of their own', () => {
    const { flows } = topologyOf(demand({ outbound: [outbound(), outbound({ name: 'b' })] }));
    expect(flows[0]?.open.targets).not.toEqual(flows[1]?.open.targets);
  });

  it('never run ahead of the accept queue', () => {
    const { flows } = topologyOf(demand({ inbound: [inbound({ listenBacklog: 9 })] }));
    expect(flows[0]?.window).toBe(5);
  });

  it('bound early come before those bound late', () => {
    const both = [outbound({ name: 'late' }), outbound({ name: 'early', binding: 'Early' })];
    expect(topologyOf(demand({ outbound: both })).flows.map(({ flow }) => flow)).toEqual(['early', 'late']);
  });

  it('listen in the containers that accept them', () => {
    const containers = [container(), container({ name: 'b' })];
    const flows = [inbound({ port: 1 }), inbound({ port: 2, container: 1 }), inbound({ port: 3, container: 1 })];
    const { podListeners, flows: wired } = topologyOf(demand({ containers, inbound: flows }));
    expect(podListeners.map((all) => all.map(({ port }) => port))).toEqual([[1], [2, 3]]);
    expect(wired.map(({ listeners }) => listeners)).toEqual([[0], [0], [1]]);
  });
});
