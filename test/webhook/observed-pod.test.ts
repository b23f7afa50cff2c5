import { expect, test } from 'vitest';
import {
  admitsReservedPorts,
  observedPodFor,
  ownSysctlsOf,
  patchedSysctlsAnnotation,
} from '../../src/api/observed-pod.ts';

const enforce = 'pod-security.kubernetes.io/enforce';

test('ports of containers, sidecars, probes and hooks are declared, those of init containers that end are not', () => {
  const pod = {
    spec: {
      containers: [
        {
          name: 'program',
          ports: [
            { name: 'mqtt', containerPort: 1883 },
            { name: 'health', containerPort: 8080 },
          ],
          livenessProbe: { httpGet: { port: 'health' } },
          readinessProbe: { tcpSocket: { port: 1884 } },
          startupProbe: { grpc: { port: 50051 } },
          lifecycle: { preStop: { httpGet: { port: '9000' } } },
        },
      ],
      initContainers: [
        { name: 'proxy', restartPolicy: 'Always', ports: [{ containerPort: 15001 }] },
        { name: 'migrate', ports: [{ containerPort: 7000 }] },
      ],
    },
  };

  const observed = observedPodFor(pod, {});

  expect(observed.declaredPorts).toEqual([1883, 1884, 8080, 9000, 15001, 50051]);
  expect(observed.containerNames).toEqual(['program', 'proxy']);
});

test('a probe that names a port nobody declares declares nothing', () => {
  const pod = { spec: { containers: [{ name: 'a', readinessProbe: { httpGet: { port: 'metrics' } } }] } };

  expect(observedPodFor(pod, {}).declaredPorts).toEqual([]);
});

test('memory limits are bytes by container; a container without one is not listed', () => {
  const limits = { memory: '1.5Gi', cpu: '2' };
  const pod = { spec: { containers: [{ name: 'a', resources: { limits } }, { name: 'b' }] } };

  expect([...observedPodFor(pod, {}).memoryLimitBytes]).toEqual([['a', 1610612736]]);
});

test.each([
  ['1024 65000', { low: 1024, high: 65000 }],
  ['1024\t65000', { low: 1024, high: 65000 }],
  ['65000 1024', undefined],
  ['1024-65000', undefined],
  ['0 65000', undefined],
  ['1024 70000', undefined],
])('a range set by hand as "%s" is read as %j', (value, range) => {
  const sysctls = [{ name: 'net.ipv4.ip_local_port_range', value }];

  expect(observedPodFor({ spec: { securityContext: { sysctls } } }, {}).portRange).toEqual(range);
});

test('a sysctl that the annotation names is ours, every other one is the user’s', () => {
  const sysctls = [
    { name: 'net.ipv4.ip_local_port_range', value: '10240 65535' },
    { name: 'net.core.somaxconn', value: '8192' },
  ];
  const annotations = { [patchedSysctlsAnnotation]: 'net.ipv4.ip_local_port_range' };
  const pod = { metadata: { annotations }, spec: { securityContext: { sysctls } } };

  expect([...ownSysctlsOf(pod)]).toEqual([['net.core.somaxconn', '8192']]);
  expect(observedPodFor(pod, {}).portRange).toBeUndefined();
});

test.each([
  [{}, true],
  [{ [enforce]: 'restricted' }, true],
  [{ [enforce]: 'restricted', [`${enforce}-version`]: 'latest' }, true],
  [{ [enforce]: 'baseline', [`${enforce}-version`]: 'v1.27' }, true],
  [{ [enforce]: 'baseline', [`${enforce}-version`]: 'v1.26' }, false],
  [{ [enforce]: 'restricted', [`${enforce}-version`]: 'v1.9' }, false],
  [{ [enforce]: 'privileged', [`${enforce}-version`]: 'v1.20' }, true],
])('a namespace labelled %j admits ip_local_reserved_ports: %s', (labels, admits) => {
  expect(admitsReservedPorts(labels)).toBe(admits);
});

test('an empty manifest is a pod of which nothing is known', () => {
  expect(observedPodFor({}, {})).toEqual({
    hostNetwork: false,
    declaredPorts: [],
    portRange: undefined,
    kubeletReservesPorts: true,
    containerNames: [],
    memoryLimitBytes: new Map(),
  });
});
