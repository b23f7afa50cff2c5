import { describe, expect, it } from 'vitest';
import type { Demand, NodeFacts, OutboundFlow } from '../../src/planner/demand.ts';
import type { Limit } from '../../src/planner/limit.ts';
import { type Plan, plan } from '../../src/planner/plan.ts';
import { demand, inbound, outbound } from './demands.ts';

const planned = (flow: Partial<OutboundFlow>, rest: Partial<Demand> = {}): Plan =>
  plan(demand({ outbound: [outbound(flow)], ...rest }));

const portLimits = ({ limits }: Plan): readonly Limit[] =>
  limits.filter(({ unit, stage }) => unit === 'ports' && stage === 'Socket');
const portLimit = (result: Plan): Limit | undefined => portLimits(result)[0];
const sysctl = (result: Plan, name: string): string | undefined =>
  result.sysctls.find((entry) => entry.name === name)?.value;
const range = 'net.ipv4.ip_local_port_range';

const assumed = (node?: NodeFacts) =>
  plan(demand({ outbound: [outbound({ portSelection: 'Program' })] }), node).assumptions.map(({ kind }) => kind);

describe('one source address to one target', () => {
  // P = high − low + 1: 60999 − 32768 + 1 = 28,232; 65535 − 10240 + 1 = 55,296; 65535 − 1024 + 1 = 64,512.
  it.each([
    { connections: 28_232, value: undefined },
    { connections: 28_233, value: '10240 65535' },
    { connections: 55_296, value: '10240 65535' },
    { connections: 55_297, value: '1024 65535' },
  ])('$connections connections get the range $value, as far as needed', ({ connections, value }) => {
    const result = planned({ connections });
    expect(sysctl(result, range)).toBe(value);
    expect(result.feasible).toBe(true);
  });

  // Half of the range where the kernel picks the port, 95 % where the program does with IP_LOCAL_PORT_RANGE.
  it.each([
    { connections: 14_116, picks: 'Kernel', kernelRelease: '6.18.0', fast: undefined },
    { connections: 14_117, picks: 'Kernel', kernelRelease: '6.18.0', fast: 14_116 },
    { connections: 26_820, picks: 'Program', kernelRelease: '6.8.0', fast: undefined },
    { connections: 26_821, picks: 'Program', kernelRelease: '6.8.0', fast: 26_820 },
    { connections: 26_820, picks: 'Program', kernelRelease: '6.7.12-cloud', fast: 14_116 },
  ] as const)(
    '$connections picked by $picks on $kernelRelease: fast up to $fast',
    ({ connections, picks, kernelRelease, fast }) => {
      const result = plan(demand({ outbound: [outbound({ connections, portSelection: picks })] }), { kernelRelease });
      expect(result.assumptions.find(({ kind }) => kind === 'KernelPortCliff')?.value).toBe(fast);
    },
  );

  it('the option that a program uses is an assumption where no kernel is known', () => {
    expect(assumed()).toContain('PortRangeOption');
    expect(assumed({ kernelRelease: '6.18.0' })).not.toContain('PortRangeOption');
  });

  it('holds 64,512 and not one more', () => {
    expect(planned({ connections: 64_512 }).feasible).toBe(true);
    const over = planned({ connections: 64_513 });
    expect(over.feasible).toBe(false);
    expect(over.bindingLimit).toMatchObject({
      limit: range,
      scope: 'Pod',
      flow: 'out',
      capacity: 64_512,
      needed: 64_513,
    });
    expect(over.connections.reachable).toBe(64_512);
  });

  it('warns past the cliff instead of failing', () => {
    const result = planned({ connections: 60_000, portSelection: 'Kernel' });
    expect(result.feasible).toBe(true);
    expect(result.assumptions).toContainEqual({ kind: 'KernelPortCliff', subject: 'out', value: 32_256 });
  });
});

describe('several targets', () => {
  it.each([
    { targets: [1, 1], share: undefined, needed: 100_000 },
    { targets: [2, 1], share: undefined, needed: 50_000 },
    { targets: [2, 4], share: undefined, needed: 12_500 },
    { targets: [3, 1], share: undefined, needed: 33_334 },
    { targets: [1000, 1], share: 10, needed: 10_000 },
    { targets: [5, 1], share: 10, needed: 20_000 }, // an even share is 20 %, more than the declared 10 %
  ] as const)('$targets targets with a largest share of $share need $needed ports', ({ targets, share, needed }) => {
    const [destinationAddresses, destinationPorts] = targets;
    const result = planned({
      connections: 100_000,
      destinationAddresses,
      destinationPorts,
      largestSharePercent: share,
    });
    expect(portLimit(result)?.needed).toBe(needed);
  });

  it('one more destination halves the ports needed per destination', () => {
    const one = portLimit(planned({ connections: 60_000 }))?.needed;
    const two = portLimit(planned({ connections: 60_000, destinationAddresses: 2 }))?.needed;
    expect([one, two]).toEqual([60_000, 30_000]);
  });

  it('two flows that meet at a target share its ports', () => {
    const flows = ['a', 'b'].map((name) => outbound({ name, connections: 40_000, targets: ['10.0.0.1:80'] }));
    const result = plan(demand({ outbound: flows }));
    expect(result.bindingLimit).toMatchObject({ limit: range, flow: '', needed: 80_000, capacity: 64_512 });
    expect(result.connections.reachable).toBe(64_512);
  });

  it('what lingers of each counts with its own share of the target', () => {
    const churning = outbound({ name: 'a', connections: 1000, closesPerSecond: 600, targets: ['T'] });
    const steady = outbound({ name: 'b', connections: 60_000, destinationAddresses: 2, targets: ['T', 'U'] });
    const result = plan(demand({ outbound: [churning, steady] }));
    // At T: 1,000 + 30,000 live; without reuse 600 × 61 = 36,600 more would be 67,600 > 64,512, so it is reused after 2 s.
    expect(sysctl(result, 'net.ipv4.tcp_tw_reuse')).toBe('1');
    expect(portLimits(result).find(({ flow }) => flow === '')?.needed).toBe(31_000 + 600 * 2);
  });

  it('two flows with explicit ports to one target share its 65,535', () => {
    const flows = ['a', 'b'].map((name) =>
      outbound({ name, connections: 40_000, binding: 'Explicit', targets: ['T'] }),
    );
    expect(plan(demand({ outbound: flows })).bindingLimit).toMatchObject({
      limit: 'SourcePorts',
      flow: '',
      capacity: 65_535,
      needed: 80_000,
    });
  });

  it('two flows to different targets do not', () => {
    const flows = ['a', 'b'].map((name) => outbound({ name, connections: 40_000, targets: [`${name}:80`] }));
    expect(plan(demand({ outbound: flows })).feasible).toBe(true);
  });
});

describe('ports that nobody may use', () => {
  it('a declared port inside the range is reserved and subtracted', () => {
    const result = planned(
      { connections: 64_512 },
      { pod: { hostNetwork: false, declaredPorts: [8080, 70], portRange: undefined, kubeletReservesPorts: true } },
    );
    expect(sysctl(result, 'net.ipv4.ip_local_reserved_ports')).toBe('8080');
    expect(result.bindingLimit).toMatchObject({ capacity: 64_511, needed: 64_512 });
  });

  it('a pod without outbound flows has neither range nor reserved ports', () => {
    const result = plan(
      demand({
        inbound: [inbound()],
        pod: { hostNetwork: false, declaredPorts: [40_000], portRange: undefined, kubeletReservesPorts: true },
      }),
    );
    expect(result.sysctls).toEqual([]);
  });

  it('an older Pod Security level leaves reserved ports to the agent', () => {
    const result = planned(
      { connections: 30_000 },
      { pod: { hostNetwork: false, declaredPorts: [15_000], portRange: undefined, kubeletReservesPorts: false } },
    );
    expect(result.sysctls).toContainEqual({ name: 'net.ipv4.ip_local_reserved_ports', value: '15000', setBy: 'Agent' });
  });

  it('a range of which every port is reserved holds nothing', () => {
    const pod = {
      hostNetwork: false,
      declaredPorts: [20_000],
      portRange: { low: 20_000, high: 20_000 },
      kubeletReservesPorts: true,
    };
    expect(planned({ connections: 1 }, { pod }).bindingLimit).toMatchObject({ capacity: 0 });
  });

  it('an odd number of ports counts as one less', () => {
    const result = planned(
      { connections: 99 },
      {
        pod: {
          hostNetwork: false,
          declaredPorts: [],
          portRange: { low: 20_000, high: 20_098 },
          kubeletReservesPorts: true,
        },
      },
    );
    expect(result.bindingLimit).toMatchObject({ capacity: 98 });
  });
});

describe('who binds', () => {
  it('early binding has the range once for all destinations', () => {
    const result = planned({ connections: 100_000, binding: 'Early', destinationAddresses: 10 });
    expect(result.bindingLimit).toMatchObject({ limit: range, needed: 100_000, capacity: 64_512 });
    expect(result.connections.reachable).toBe(64_512);
  });

  it('early binding takes ports away from late flows', () => {
    const flows = [
      outbound({ name: 'early', binding: 'Early', connections: 10_000 }),
      outbound({ name: 'late', connections: 60_000 }),
    ];
    const result = plan(demand({ outbound: flows }));
    expect(result.bindingLimit).toMatchObject({ flow: 'late', needed: 60_000, capacity: 54_512 });
  });

  it('explicit ports have all 65,535 of an address, whatever the range', () => {
    const result = planned({ connections: 65_535, binding: 'Explicit' });
    expect(result.feasible).toBe(true);
    expect(result.sysctls).toEqual([]);
  });

  it("a user's own range is kept and binds where it is too small", () => {
    const pod = {
      hostNetwork: false,
      declaredPorts: [],
      portRange: { low: 40_000, high: 49_999 },
      kubeletReservesPorts: true,
    };
    expect(planned({ connections: 9500 }, { pod })).toMatchObject({ feasible: true, sysctls: [] });
    expect(planned({ connections: 10_001 }, { pod }).bindingLimit).toMatchObject({ capacity: 10_000 });
  });

  it('a pod in the network of its node gets no sysctl', () => {
    const pod = { hostNetwork: true, declaredPorts: [], portRange: undefined, kubeletReservesPorts: true };
    expect(planned({ connections: 30_000 }, { pod })).toMatchObject({
      sysctls: [],
      bindingLimit: { capacity: 28_232 },
    });
  });
});

describe('TIME_WAIT', () => {
  it('counts against the ports when the pod closes first', () => {
    const result = planned({ connections: 1000, closesPerSecond: 100 });
    expect(portLimit(result)?.needed).toBe(1000 + 100 * 61);
  });

  it('does not when the peer closes first', () => {
    expect(portLimit(planned({ connections: 1000, closesPerSecond: 100, closedBy: 'Peer' }))?.needed).toBe(1000);
  });

  it('is never reused by bind(address, 0)', () => {
    const result = planned({ connections: 1000, closesPerSecond: 5000, binding: 'Early' });
    expect(sysctl(result, 'net.ipv4.tcp_tw_reuse')).toBeUndefined();
    expect(result.bindingLimit).toMatchObject({ needed: 1000 + 5000 * 61 });
  });

  it('a space that fits because of reuse is Raised, not Sufficient', () => {
    const result = planned({ connections: 10_000, closesPerSecond: 1000 }); // 10,000 + 61,000 > 64,512
    expect(portLimit(result)).toMatchObject({ status: 'Raised', needed: 12_000, capacity: 28_232 });
  });

  it('is reused only where it would not fit otherwise', () => {
    expect(sysctl(planned({ connections: 1000, closesPerSecond: 1000 }), 'net.ipv4.tcp_tw_reuse')).toBeUndefined();
    const churning = planned({ connections: 1000, closesPerSecond: 2000 }); // 1,000 + 2,000 × 61 = 123,000 > 64,512
    expect(churning.feasible).toBe(true);
    expect(churning.sysctls).toContainEqual({ name: 'net.ipv4.tcp_tw_reuse', value: '1', setBy: 'Agent' });
    expect(portLimit(churning)?.needed).toBe(1000 + 2000 * 2); // 2 s without a kernel release
    expect(churning.assumptions).toContainEqual({ kind: 'TimestampsBothEnds', subject: '', value: 2 });
  });

  it.each([
    { kernelRelease: '6.14.0', seconds: 1 },
    { kernelRelease: '6.13.9-amd64', seconds: 2 },
    { kernelRelease: '7.0.1', seconds: 1 },
  ])('is reused after $seconds s on $kernelRelease', ({ kernelRelease, seconds }) => {
    const flows = [outbound({ connections: 1000, closesPerSecond: 2000 })];
    expect(portLimit(plan(demand({ outbound: flows }), { kernelRelease }))?.needed).toBe(1000 + 2000 * seconds);
  });

  it('raises tcp_max_tw_buckets above what a small machine has', () => {
    const result = planned({ connections: 1000, closesPerSecond: 300, closedBy: 'Pod' }); // 300 × 61 = 18,300 > 16,384
    expect(result.sysctls).toContainEqual({ name: 'net.ipv4.tcp_max_tw_buckets', value: '18300', setBy: 'Agent' });
  });
});
