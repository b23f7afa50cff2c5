import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { nothingObserved } from '../../src/api/demand.ts';
import type { PodManifest } from '../../src/api/observed-pod.ts';
import { admitPodBy } from '../../src/webhook/admit.ts';
import { type Circumstances, planPod, remembering } from '../../src/webhook/plan-pod.ts';
import { readingOf } from '../../src/webhook/pod-reading.ts';
import { attachedSpec, outboundBudget, parsedBudget } from './budgets.ts';

const signer = { keyId: 'key', sign: () => Buffer.alloc(64) };
const budget = parsedBudget();
const circumstances: Circumstances = {
  budget,
  namespaceLabels: { 'connectionbudget.io/enabled': 'true' },
  observed: nothingObserved('messaging'),
  node: undefined,
  attachment: undefined,
  signer,
};

const attached: Circumstances = {
  ...circumstances,
  budget: { ...parsedBudget(outboundBudget({ spec: attachedSpec })), uid: 'attached' },
  attachment: {
    namespace: 'messaging',
    name: 'net-a',
    config: JSON.stringify({ type: 'macvlan', capabilities: { ips: true }, ipam: { type: 'static' } }),
  },
};

const sysctl = fc.constantFrom(
  { name: 'net.ipv4.ip_local_port_range', value: '20000 60000' },
  { name: 'net.core.somaxconn', value: '128' },
  { name: 'kernel.shm_rmid_forced', value: '1' },
);
const handler = fc.record({ httpGet: fc.record({ port: fc.constantFrom(8080, 'http', 'none') }) });
const container = fc.record(
  {
    name: fc.constantFrom('program', 'proxy', 'exporter'),
    image: fc.string(),
    env: fc.array(fc.record({ name: fc.string(), value: fc.string() })),
    restartPolicy: fc.constantFrom('Always', 'Never'),
    ports: fc.array(fc.record({ name: fc.constant('http'), containerPort: fc.constantFrom(1, 11_883, 40_000) })),
    livenessProbe: handler,
    readinessProbe: fc.record({ tcpSocket: fc.record({ port: fc.constantFrom(9100, '9101') }) }),
    startupProbe: fc.record({ grpc: fc.record({ port: fc.constant(9200) }) }),
    lifecycle: fc.record({ preStop: handler }),
    resources: fc.record({ limits: fc.record({ memory: fc.constantFrom('64Mi', '8Gi'), cpu: fc.constant('1') }) }),
  },
  { requiredKeys: ['name'] },
);
const annotations = fc.record(
  {
    a: fc.string(),
    'connectionbudget.io/plan': fc.string(),
    'connectionbudget.io/patched-sysctls': fc.constantFrom('', 'net.core.somaxconn', 'net.ipv4.ip_local_port_range'),
    'connectionbudget.io/patched-networks': fc.constantFrom('', 'cb0,cb1'),
    'connectionbudget.io/source-ips': fc.constantFrom('', '192.0.2.5/24,192.0.2.6/24', 'none'),
    'k8s.v1.cni.cncf.io/networks': fc.constantFrom('', 'net-b', '[{"name":"net-a","interface":"cb0"}]', '['),
    constructor: fc.string(),
  },
  { requiredKeys: [] },
);
const optional = { requiredKeys: [] };
const podArbitrary: fc.Arbitrary<PodManifest> = fc.record({
  metadata: fc.record({ name: fc.string(), labels: fc.constant({ app: 'gateway' }), annotations }, optional),
  spec: fc.record(
    {
      hostNetwork: fc.boolean(),
      nodeName: fc.string(),
      securityContext: fc.record({ runAsUser: fc.nat(), sysctls: fc.array(sysctl) }, optional),
      containers: fc.array(container, { maxLength: 3 }),
      initContainers: fc.array(container, { maxLength: 2 }),
    },
    optional,
  ),
});

test('a pod’s reading is planned and patched as the pod itself', () => {
  fc.assert(
    fc.property(podArbitrary, fc.constantFrom(circumstances, attached), (pod, one) => {
      expect(planPod(readingOf(pod), one)).toEqual(planPod(pod, one));
    }),
  );
});

test('a reading’s own reading is the same', () => {
  fc.assert(
    fc.property(podArbitrary, (pod) => {
      expect(readingOf(readingOf(pod))).toEqual(readingOf(pod));
    }),
  );
});

test('what is remembered is what would be planned anew, in any order of pods and circumstances', () => {
  const others: Circumstances[] = [
    circumstances,
    { ...circumstances, budget: { ...parsedBudget(outboundBudget({ spec: { headroomPercent: 50 } })), generation: 4 } },
    { ...circumstances, budget: { ...budget, uid: 'another', name: 'another' } },
    { ...circumstances, namespaceLabels: { 'pod-security.kubernetes.io/enforce': 'baseline' } },
    { ...circumstances, observed: { ...nothingObserved('messaging'), scale: { pods: 9, podsPerNode: 3 } } },
    { ...circumstances, node: { nrOpen: 2000 } },
    attached,
    { ...attached, attachment: undefined },
    { ...circumstances, signer: { keyId: 'next', sign: () => Buffer.alloc(64, 1) } },
  ];
  const remembered = remembering(planPod);
  fc.assert(
    fc.property(podArbitrary, fc.shuffledSubarray(others), (pod, several) => {
      const reading = readingOf(pod);
      for (const one of several) expect(remembered(reading, one)).toEqual(planPod(reading, one));
    }),
  );
});

const counting = () => {
  let plans = 0;
  const plan = remembering((reading, one) => {
    plans += 1;
    return planPod(reading, one);
  });
  return { plan, plans: () => plans };
};

const template = (rest: object = {}): PodManifest => ({ spec: { containers: [{ name: 'program' }] }, ...rest });

test('pods of one template are planned once, whatever else is in them', () => {
  const { plan, plans } = counting();
  const admit = admitPodBy(plan);
  const surroundings = {
    budgetsMeaning: () => [budget],
    observedFor: () => circumstances.observed,
    nodeFactsFor: () => undefined,
    namespaceLabels: () => circumstances.namespaceLabels,
    attachment: () => undefined,
  };
  const admissions = ['a', 'b', 'c'].map((name) => {
    const metadata = { name, labels: { app: 'gateway', 'statefulset.kubernetes.io/pod-name': name } };
    const object = template({ metadata, status: { phase: name } });
    const request = { uid: name, operation: 'CREATE', namespace: 'messaging', subResource: '', object } as const;
    return admit(request, surroundings, signer);
  });

  expect(plans()).toBe(1);
  expect(new Set(admissions).size).toBe(1);
});

test('an equal value that is another object is planned anew, for it may have changed', () => {
  const { plan, plans } = counting();
  plan(template(), circumstances);
  plan(template(), { ...circumstances, observed: { ...circumstances.observed } });
  plan(template(), { ...circumstances, signer: { ...signer } });

  expect(plans()).toBe(3);
});

test('a reading of thousands of ports is not kept, and a thousand templates are', () => {
  const { plan, plans } = counting();
  const ports = Array.from({ length: 1000 }, (_, index) => ({ containerPort: index + 1 }));
  const large: PodManifest = { spec: { containers: [{ name: 'program', ports }] } };
  plan(large, circumstances);
  plan(large, circumstances);
  expect(plans()).toBe(2);

  const templates = Array.from({ length: 1000 }, (_, index) =>
    template({ spec: { containers: [{ name: `c${index}` }] } }),
  );
  for (const pod of [...templates, ...templates]) plan(pod, circumstances);
  expect(plans()).toBe(1002);
});
