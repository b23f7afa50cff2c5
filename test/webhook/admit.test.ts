import * as fc from 'fast-check';
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { expect, test } from 'vitest';
import { nothingObserved } from '../../src/api/demand.ts';
import { decodeAnnotation, signedBytes } from '../../src/api/pod-annotation.ts';
import type { PodManifest } from '../../src/api/observed-pod.ts';
import type { Admission, AdmissionRequest } from '../../src/webhook/admission-review.ts';
import { admitBudget, admitPod } from '../../src/webhook/admit.ts';
import type { Signer } from '../../src/webhook/plan-pod.ts';
import type { Surroundings } from '../../src/webhook/surroundings.ts';
import { outboundBudget, parsedBudget } from './budgets.ts';
import { patched } from './json-patch.ts';

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const signer: Signer = {
  keyId: 'key',
  sign: (section, namespace) => sign(null, signedBytes(section, namespace), privateKey),
};

const surroundings = (budgets = [parsedBudget()]): Surroundings => ({
  budgetsMeaning: ({ namespace }) => budgets.filter((budget) => budget.namespace === namespace),
  observedFor: ({ namespace }) => nothingObserved(namespace),
  nodeFactsFor: () => undefined,
  namespaceLabels: () => ({ 'connectionbudget.io/enabled': 'true' }),
  attachment: () => undefined,
});

const request = (object: unknown, rest: Partial<AdmissionRequest> = {}): AdmissionRequest => ({
  uid: 'review',
  operation: 'CREATE',
  namespace: 'messaging',
  subResource: '',
  object,
  oldObject: undefined,
  ...rest,
});

const gateway = (rest: object = {}, metadata: object = {}): PodManifest => ({
  metadata: { labels: { app: 'gateway' }, ...metadata },
  spec: { containers: [{ name: 'program' }], ...rest },
});

const patchOf = (admission: Admission) => (admission.result === 'Patched' ? admission.patch : []);
const admitted = (pod: PodManifest, budgets?: Parameters<typeof surroundings>[0]) =>
  admitPod(request(pod), surroundings(budgets), signer);
const after = (pod: PodManifest): PodManifest => patched(pod, patchOf(admitted(pod)));

const planText = (pod: PodManifest): string => pod.metadata?.annotations?.['connectionbudget.io/plan'] ?? '';

const kubeletSysctls = [
  { name: 'net.ipv4.ip_local_port_range', value: '10240 65535' },
  { name: 'net.ipv4.ip_local_reserved_ports', value: '11883' },
];

test('a pod without annotations and security context gets both, and the plan verifies for its namespace alone', () => {
  const pod = after(gateway());
  const decoded = decodeAnnotation(planText(pod));

  expect(pod.spec?.securityContext?.sysctls).toEqual(kubeletSysctls);
  expect(decoded).toHaveProperty('section.budget.name', 'gateway');
  const { section, signature } = decoded as Exclude<typeof decoded, { fault: unknown }>;
  expect(verify(null, signedBytes(section, 'messaging'), publicKey, signature)).toBe(true);
  expect(verify(null, signedBytes(section, 'other'), publicKey, signature)).toBe(false);
});

test('a pod with a generated name is planned by its labels', () => {
  expect(planText(after(gateway({}, { generateName: 'gateway-' })))).not.toBe('');
});

test('other annotations, sysctls and the rest of the security context stay', () => {
  const own = { name: 'kernel.shm_rmid_forced', value: '1' };
  const pod = after(gateway({ securityContext: { runAsUser: 1000, sysctls: [own] } }, { annotations: { a: 'b' } }));

  expect(pod.metadata?.annotations).toHaveProperty('a', 'b');
  expect(pod.spec?.securityContext).toEqual({ runAsUser: 1000, sysctls: [own, ...kubeletSysctls] });
});

test('a range set by hand stays, and the user is told that it binds', () => {
  const own = { name: 'net.ipv4.ip_local_port_range', value: '40000 50000' };
  const pod = gateway({ securityContext: { sysctls: [own] } });

  const admission = admitted(pod);

  expect(after(pod).spec?.securityContext?.sysctls).toEqual([own]);
  // 26,000 × 1.1 to one target; 40000 to 50000 are 10,001 ports, of which the kernel may lose the odd one;
  // the 20,000 inbound need none of them.
  expect(admission.warnings).toEqual([
    'ConnectionBudget gateway: net.ipv4.ip_local_port_range of broker binds: 28,600 ports needed, 10,000 there; 30,000 of 46,000 connections reachable',
  ]);
});

test('whoever sets by hand what kubelets refuse is told so, and that the agent sets it', () => {
  const admission = admitted(
    gateway({ securityContext: { sysctls: [{ name: 'net.core.somaxconn', value: '65535' }] } }),
  );

  expect(admission.warnings).toEqual([
    'ConnectionBudget gateway: net.core.somaxconn is set by hand, for which kubelets refuse the pod unless they allow it; left out, the agent sets it',
  ]);
});

test('a range set by hand that is what we would choose is still the user’s at the next review', () => {
  const own = { name: 'net.ipv4.ip_local_port_range', value: '1024 65535' };
  const once = after(gateway({ securityContext: { sysctls: [own] } }));

  expect(once.spec?.securityContext?.sysctls?.[0]).toEqual(own);
  expect(admitted(once).result).toBe('Allowed');
});

test('a plan written by hand is replaced where there is a budget, and left where there is none', () => {
  const forged = gateway({}, { annotations: { 'connectionbudget.io/plan': 'forged' } });

  expect(planText(after(forged))).not.toBe('forged');
  expect(admitted(forged, [])).toEqual({ result: 'Allowed', warnings: [] });
});

test('a sidecar that another webhook added after our review is covered by the next', () => {
  const spec = { containers: [{ name: 'program' }, { name: 'proxy', descriptors: { reserved: 100 } }] };
  const budgets = [parsedBudget(outboundBudget({ spec }))];
  const first = patched(gateway(), patchOf(admitted(gateway(), budgets)));
  const proxy = { name: 'proxy', restartPolicy: 'Always', ports: [{ containerPort: 15_001 }] };
  const injected = { ...first, spec: { ...first.spec, initContainers: [proxy] } };

  const second = patched(injected, patchOf(admitted(injected, budgets)));

  expect(second.spec?.securityContext?.sysctls?.[1]?.value).toBe('11883,15001');
  expect(planText(second)).toContain('"proxy"');
  expect(admitted(gateway(), budgets).warnings).toEqual(['ConnectionBudget gateway: this pod has no container proxy']);
});

test('a pod of the host’s network gets limits and no sysctls', () => {
  const pod = after(gateway({ hostNetwork: true }));

  expect(pod.spec).not.toHaveProperty('securityContext');
  expect(decodeAnnotation(planText(pod))).toHaveProperty('section.sysctls', {});
  expect(decodeAnnotation(planText(pod))).toHaveProperty('section.containers.length', 1);
});

test.each<[string, PodManifest]>([
  ['of Windows', gateway({ os: { name: 'windows' } })],
  ['that mirrors a static one', gateway({}, { annotations: { 'kubernetes.io/config.mirror': 'hash' } })],
  ['that no budget selects', gateway({}, { labels: { app: 'other' } })],
  ['without labels', { spec: { containers: [{ name: 'program' }] } }],
])('a pod %s is left alone', (_, pod) => {
  expect(admitted(pod)).toEqual({ result: 'Allowed', warnings: [] });
});

test('mode Off patches nothing', () => {
  const off = parsedBudget(outboundBudget({ spec: { updatePolicy: { mode: 'Off' } } }));

  expect(admitted(gateway(), [off])).toEqual({ result: 'Allowed', warnings: [] });
});

test('updates of pods and their ephemeral containers are none of ours', () => {
  const update = request(gateway(), { operation: 'UPDATE', subResource: 'ephemeralcontainers' });

  expect(admitPod(update, surroundings(), signer)).toEqual({ result: 'Allowed', warnings: [] });
});

test('a patch applied twice is applied once, whatever the pod carries', () => {
  const sysctl = fc.record({
    name: fc.constantFrom('net.core.somaxconn', 'net.ipv4.ip_local_port_range', 'net.ipv4.ip_local_reserved_ports'),
    value: fc.constantFrom('1', '1024 65535', '40000 50000', '11883', ''),
  });
  const annotations = fc.dictionary(
    fc.constantFrom('a', 'a/b~c', 'connectionbudget.io/plan', 'connectionbudget.io/patched-sysctls'),
    fc.constantFrom('', 'x', 'net.core.somaxconn', 'net.ipv4.ip_local_port_range'),
  );
  const sysctls = fc.uniqueArray(sysctl, { selector: ({ name }) => name });
  const securityContext = fc.record({ sysctls }, { requiredKeys: [] });
  const spec = fc.record({ hostNetwork: fc.boolean(), securityContext }, { requiredKeys: [] });
  const metadata = fc.record({ annotations }, { requiredKeys: [] });
  fc.assert(
    fc.property(spec, metadata, (rest, meta) => {
      const once = after(gateway(rest, meta));
      expect(admitted(once).result).toBe('Allowed');
      expect(after(once)).toEqual(once);
    }),
  );
});

test('a bad budget is refused with every field, value and rule', () => {
  const spec = { headroomPercent: 1001, selector: {}, inbound: [{ name: 'mqtt', port: 70_000, connections: 0 }] };

  const admission = admitBudget(request(outboundBudget({ spec })), surroundings());

  expect(admission).toHaveProperty(
    'refusal.message',
    'spec.selector: {}: must not be empty; spec.inbound[0].port: 70000: must be at most 65535; ' +
      'spec.inbound[0].connections: 0: must be at least 1; spec.headroomPercent: 1001: must be at most 1000',
  );
  // Whoever prints a cause puts its field before it.
  expect(admission).toHaveProperty('refusal.causes', [
    { field: 'spec.selector', message: '{}: must not be empty' },
    { field: 'spec.inbound[0].port', message: '70000: must be at most 65535' },
    { field: 'spec.inbound[0].connections', message: '0: must be at least 1' },
    { field: 'spec.headroomPercent', message: '1001: must be at most 1000' },
  ]);
});

test('a good budget is admitted in silence, one that does not fit with the limit that binds', () => {
  const spec = {
    outbound: [
      { name: 'broker', connections: 70_000, destination: { addresses: { ips: ['198.51.100.7'], ports: [1883] } } },
    ],
  };

  expect(admitBudget(request(outboundBudget()), surroundings())).toEqual({ result: 'Allowed', warnings: [] });
  expect(admitBudget(request(outboundBudget({ spec })), surroundings()).warnings).toEqual([
    expect.stringMatching(/^ConnectionBudget gateway: net\.ipv4\.ip_local_port_range of broker binds: 77,000 ports/),
  ]);
});

test('a budget in a namespace without the label is admitted with the command that labels it', () => {
  const unlabelled = { ...surroundings(), namespaceLabels: () => ({}) };

  expect(admitBudget(request(outboundBudget()), unlabelled).warnings).toEqual([
    'pods of namespace messaging are not patched until: kubectl label namespace messaging connectionbudget.io/enabled=true',
  ]);
});

test('a budget with a field of a newer definition is admitted, and told that the field is not planned', () => {
  expect(admitBudget(request(outboundBudget({ spec: { sockets: {} } })), surroundings())).toEqual({
    result: 'Allowed',
    warnings: ['ConnectionBudget gateway: spec.sockets is not known to this version of the operator'],
  });
});

const invalid = outboundBudget({ spec: { headroomPercent: 1001 } }) as { metadata: object };

test.each<[string, Partial<AdmissionRequest>]>([
  ['is deleted', { operation: 'DELETE', object: null, oldObject: invalid }],
  ['gets a status', { operation: 'UPDATE', subResource: 'status', oldObject: outboundBudget() }],
  ['loses its finalizers', { operation: 'UPDATE', oldObject: { ...invalid, metadata: { finalizers: ['a/b'] } } }],
])('an invalid budget that is stored %s', (_, rest) => {
  expect(admitBudget(request(invalid, rest), surroundings())).toEqual({ result: 'Allowed', warnings: [] });
});

test('an update that makes a spec invalid is refused', () => {
  const update = request(invalid, { operation: 'UPDATE', oldObject: outboundBudget() });

  expect(admitBudget(update, surroundings()).result).toBe('Refused');
});
