import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nothingObserved } from '../../src/api/demand.ts';
import type { PodManifest } from '../../src/api/observed-pod.ts';
import { decodeAnnotation, encodeAnnotation, longestAnnotation, sectionHash } from '../../src/api/pod-annotation.ts';
import { podPlanFor } from '../../src/api/plan-section.ts';
import { outboundBudget, parsedBudget } from './budgets.ts';

const program: PodManifest = { spec: { containers: [{ name: 'program' }] } };

const planned = (pod: PodManifest, budget = parsedBudget(), namespaceLabels = {}) =>
  podPlanFor({ budget, pod, namespaceLabels, observed: nothingObserved('messaging'), keyId: 'key' });

const broker = {
  name: 'broker',
  connections: 26_000,
  destination: { addresses: { ips: ['198.51.100.7'], ports: [1883] } },
};

const withSysctl = (name: string, value: string): PodManifest => ({
  spec: { ...program.spec, securityContext: { sysctls: [{ name, value }] } },
});

test('the section has the limits of the pod’s first container, the agent’s sysctls and the flows', () => {
  const { section, kubeletSysctls } = planned(program);

  // (20,000 + 26,000) × 1.1 + 64 descriptors
  expect(section.containers).toEqual([{ name: 'program', soft: 50_664, hard: 50_664 }]);
  expect(section.sysctls).toEqual({ 'net.core.somaxconn': '6599' });
  expect(section.portRange).toEqual({ low: 10_240, high: 65_535 });
  expect(section.flows).toEqual([
    { name: 'mqtt', direction: 'Inbound', port: 11_883, targets: [] },
    { name: 'broker', direction: 'Outbound', port: 0, targets: ['198.51.100.7:1883'] },
  ]);
  expect(kubeletSysctls.map(({ name, value }) => `${name}=${value}`)).toEqual([
    'net.ipv4.ip_local_port_range=10240 65535',
    'net.ipv4.ip_local_reserved_ports=11883',
  ]);
});

test('ports are spread for a pod of its own network, and never for one of the node’s', () => {
  const spec = { outbound: [{ ...broker, portSelection: 'Spread' }] };
  const budget = parsedBudget(outboundBudget({ spec }));
  const onHost: PodManifest = { spec: { ...program.spec, hostNetwork: true } };

  expect(planned(program, budget).section.sourceAddresses).toHaveProperty('ports', 'Spread');
  expect(planned(onHost, budget).section.sourceAddresses).not.toHaveProperty('ports');
  expect(planned(program).section.sourceAddresses).not.toHaveProperty('ports');
});

test('two generations of one plan and two keys have one hash, another limit another', () => {
  const budget = parsedBudget();
  const { section } = planned(program, budget);
  const again = planned(program, { ...budget, generation: 9 }).section;
  const more = planned(program, parsedBudget(outboundBudget({ spec: { headroomPercent: 11 } }))).section;

  expect(sectionHash({ ...again, keyId: 'other' })).toBe(sectionHash(section));
  expect(sectionHash(more)).not.toBe(sectionHash(section));
});

test('a larger somaxconn that the user set is kept without a word', () => {
  const { section, shortfalls } = planned(withSysctl('net.core.somaxconn', '8192'));

  expect(section.sysctls).toEqual({});
  expect(shortfalls).toEqual([]);
});

test.each([
  ['net.core.somaxconn', '4096', '6599'],
  ['net.ipv4.ip_local_reserved_ports', '1,20000-20010', '11883'],
])('%s that the user set to %s is kept, and said to be less than %s', (name, own, value) => {
  const { section, kubeletSysctls, shortfalls } = planned(withSysctl(name, own));

  expect(section.sysctls).not.toHaveProperty([name]);
  expect(kubeletSysctls.map((sysctl) => sysctl.name)).not.toContain(name);
  expect(shortfalls.map((shortfall) => [shortfall.sysctl.value, shortfall.own])).toEqual([[value, own]]);
});

test('reserved ports that the user listed as a range suffice', () => {
  expect(planned(withSysctl('net.ipv4.ip_local_reserved_ports', '11000-12000')).shortfalls).toEqual([]);
});

test('a range that the user set is planned with, and binds where it is too small', () => {
  const { plan, kubeletSysctls } = planned(withSysctl('net.ipv4.ip_local_port_range', '40000 50000'));

  expect(kubeletSysctls.map(({ name }) => name)).not.toContain('net.ipv4.ip_local_port_range');
  expect(plan.portRange).toEqual({ low: 40_000, high: 50_000 });
  expect(plan.bindingLimit?.limit).toBe('net.ipv4.ip_local_port_range');
});

test('where Pod Security is older than 1.27 the agent reserves the ports', () => {
  const enforce = 'pod-security.kubernetes.io/enforce';
  const labels = { [enforce]: 'baseline', [`${enforce}-version`]: 'v1.26' };

  const { section, kubeletSysctls } = planned(program, parsedBudget(), labels);

  expect(kubeletSysctls.map(({ name }) => name)).toEqual(['net.ipv4.ip_local_port_range']);
  expect(section.sysctls).toHaveProperty(['net.ipv4.ip_local_reserved_ports'], '11883');
});

test('a container that only the budget has is left out and named', () => {
  const spec = { containers: [{ name: 'program' }, { name: 'sidecar' }] };

  const { section, missingContainers } = planned(program, parsedBudget(outboundBudget({ spec })));

  expect(section.containers.map(({ name }) => name)).toEqual(['program']);
  expect(missingContainers).toEqual(['sidecar']);
});

const longName = (prefix: string, index: number): string => `${prefix}-${index}`.padEnd(63, 'x');

test('the longest section that the schema admits still fits into an annotation', () => {
  const ips = Array.from({ length: 16 }, (_, index) => `2001:db8:1111:2222:3333:4444:5555:66${10 + index}`);
  const numbers = Array.from({ length: 16 }, (_, index) => index);
  const spec = {
    containers: numbers.map((index) => ({ name: longName('c', index) })),
    inbound: numbers.map((index) => ({ name: longName('i', index), port: 60_000 + index, connections: 1 })),
    outbound: numbers.map((index) => ({
      name: longName('o', index),
      connections: 30_000,
      destination: { addresses: { ips, ports: [65_000] } },
    })),
  };
  const ports = Array.from({ length: 300 }, (_, index) => ({ containerPort: 30_000 + index }));
  const pod = { spec: { containers: numbers.map((index) => ({ name: longName('c', index), ports })) } };

  const { section } = planned(pod, parsedBudget(outboundBudget({ spec })));
  const decoded = decodeAnnotation(encodeAnnotation(section, Buffer.alloc(64)));

  expect(decoded).toHaveProperty('section.containers.length', 16);
});

const preKubeletReserving = {
  'pod-security.kubernetes.io/enforce': 'baseline',
  'pod-security.kubernetes.io/enforce-version': 'v1.26',
};

test('sixty ports that the agent reserves are a section that it takes', () => {
  const ports = Array.from({ length: 60 }, (_, index) => ({ containerPort: 20_000 + 7 * index }));
  const pod = { spec: { containers: [{ name: 'program', ports }] } };

  const { section } = planned(pod, parsedBudget(), preKubeletReserving);

  expect(section.sysctls['net.ipv4.ip_local_reserved_ports']?.length).toBeGreaterThan(256);
  expect(decodeAnnotation(encodeAnnotation(section, Buffer.alloc(64)))).toHaveProperty('section', section);
});

test('a list of ports that no file of /proc/sys takes is cut between two ports, or the pod would not start', () => {
  const ports = Array.from({ length: 2000 }, (_, index) => ({ containerPort: 10_240 + 7 * index }));
  const pod = { spec: { containers: [{ name: 'program', ports }] } };

  const lists = [planned(pod).kubeletSysctls[1]?.value ?? ''];
  const { section } = planned(pod, parsedBudget(), preKubeletReserving);
  lists.push(section.sysctls['net.ipv4.ip_local_reserved_ports'] ?? '');

  // 10240,10247,…: 6 bytes each, so 682 ports and 681 commas are 4,091 bytes.
  expect(lists.map((list) => [list.length, list.split(',').length])).toEqual([
    [4091, 682],
    [4091, 682],
  ]);
});

test('what the webhook signs the agent decodes, whatever pod and budget ask for', () => {
  const pods = fc.record({
    ports: fc.integer({ min: 0, max: 3000 }),
    names: fc.integer({ min: 1, max: 16 }),
    labels: fc.constantFrom({}, preKubeletReserving),
  });
  const budgets = fc.record({
    name: fc.integer({ min: 1, max: 253 }).map((length) => 'b'.repeat(length)),
    flows: fc.integer({ min: 1, max: 16 }),
    opens: fc.integer({ min: 1, max: 100_000 }),
    connections: fc.integer({ min: 1, max: 60_000 }),
  });
  fc.assert(
    fc.property(pods, budgets, ({ ports, names, labels }, { name, flows, opens, connections }) => {
      const containers = Array.from({ length: names }, (_, index) => ({ name: longName('c', index) }));
      const declared = Array.from({ length: ports }, (_, index) => ({ containerPort: 10_240 + 17 * index }));
      const ips = Array.from({ length: 16 }, (_, index) => `2001:db8:1111:2222:3333:4444:5555:66${10 + index}`);
      const outbound = Array.from({ length: flows }, (_, index) => ({
        name: longName('o', index),
        connections,
        closesPerSecond: opens,
        destination: { addresses: { ips, ports: [65_000 + index] } },
      }));
      const budget = parsedBudget(outboundBudget({ name, spec: { containers, outbound } }));
      const pod = { spec: { containers: containers.map((one) => ({ ...one, ports: declared })) } };

      const text = encodeAnnotation(planned(pod, budget, labels).section, Buffer.alloc(64));

      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(longestAnnotation);
      expect(decodeAnnotation(text)).toHaveProperty('section');
    }),
    { numRuns: 40 },
  );
});
