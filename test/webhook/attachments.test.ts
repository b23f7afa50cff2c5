import { expect, test } from 'vitest';
import { nothingObserved } from '../../src/api/demand.ts';
import type { PodManifest } from '../../src/api/observed-pod.ts';
import { decodeAnnotation } from '../../src/api/pod-annotation.ts';
import type { AdmissionRequest } from '../../src/webhook/admission-review.ts';
import { admitBudget, admitPod } from '../../src/webhook/admit.ts';
import type { Surroundings } from '../../src/webhook/surroundings.ts';
import { attachedSpec as spec, outboundBudget, parsedBudget } from './budgets.ts';
import { patched } from './json-patch.ts';

const signer = { keyId: 'key', sign: () => Buffer.from('signature') };
const networks = 'k8s.v1.cni.cncf.io/networks';

const budget = parsedBudget(outboundBudget({ spec }));

const config = (ipam: object): string => JSON.stringify({ type: 'macvlan', capabilities: { ips: true }, ipam });
const whereabouts = config({ type: 'whereabouts', range: '192.0.2.0/24' });

const surroundings = (attached: string | undefined): Surroundings => ({
  budgetsMeaning: () => [budget],
  observedFor: ({ namespace }) => nothingObserved(namespace),
  nodeFactsFor: () => undefined,
  namespaceLabels: () => undefined,
  attachment: (key) =>
    attached !== undefined && key === 'messaging/net-a'
      ? { namespace: 'messaging', name: 'net-a', config: attached }
      : undefined,
});

const request = (object: unknown): AdmissionRequest => ({
  uid: 'review',
  operation: 'CREATE',
  namespace: 'messaging',
  subResource: '',
  object,
  oldObject: undefined,
});

const podWith = (annotations: Readonly<Record<string, string>> = {}, rest: object = {}): PodManifest => ({
  metadata: { labels: { app: 'gateway' }, annotations },
  spec: { containers: [{ name: 'program' }], ...rest },
});

const admitted = (pod: PodManifest, attached: string | undefined = whereabouts) => {
  const admission = admitPod(request(pod), surroundings(attached), signer);
  const after = admission.result === 'Patched' ? patched(pod, admission.patch) : pod;
  const annotations = after.metadata?.annotations ?? {};
  const decoded = decodeAnnotation(annotations['connectionbudget.io/plan'] ?? '');
  return {
    after,
    asked: annotations[networks] === undefined ? undefined : (JSON.parse(annotations[networks]) as unknown),
    extra: 'section' in decoded ? decoded.section.sourceAddresses.extra : undefined,
    warnings: admission.warnings,
  };
};

const ours = (at: number) => ({ name: 'net-a', namespace: 'messaging', interface: `cb${at}` });

test('a pod asks for one interface an address, and its plan says how many', () => {
  const { asked, extra, after } = admitted(podWith());

  expect(asked).toEqual([0, 1, 2, 3].map(ours));
  expect(extra).toBe(4);
  expect(after.metadata?.annotations).toHaveProperty(['connectionbudget.io/patched-networks'], 'cb0,cb1,cb2,cb3');
});

test.each([
  ['edge/web@eth1,a', [{ name: 'web', namespace: 'edge', interface: 'eth1' }, { name: 'a' }]],
  ['[{"name":"a","mac":"c2:b0:57:49:47:f1"}]', [{ name: 'a', mac: 'c2:b0:57:49:47:f1' }]],
])('what the user wrote, %s, comes first and whole', (present, kept) => {
  expect(admitted(podWith({ [networks]: present })).asked).toEqual([...kept, ...[0, 1, 2, 3].map(ours)]);
});

test('a second review changes nothing', () => {
  const { after } = admitted(podWith({ [networks]: 'a' }));

  expect(admitPod(request(after), surroundings(whereabouts), signer).result).toBe('Allowed');
});

test('IPAM static gives what the user gave the pod', () => {
  const given = ['192.0.2.5/24', '192.0.2.6/24', '192.0.2.7/24', '192.0.2.8/24', '192.0.2.9/24'];
  const { asked, extra } = admitted(
    podWith({ 'connectionbudget.io/source-ips': given.join(', ') }),
    config({ type: 'static' }),
  );

  expect(asked).toEqual([{ name: 'net-a', namespace: 'messaging', ips: given.slice(0, 4), interface: 'cb0' }]);
  expect(extra).toBe(4);
});

interface Vain {
  readonly where: string;
  readonly pod: PodManifest;
  readonly attached: string | undefined;
  readonly message: string;
}

test.each<Vain>([
  {
    where: 'there is no attachment',
    pod: podWith(),
    attached: undefined,
    message: 'NetworkAttachmentDefinition messaging/net-a does not exist',
  },
  { where: 'its IPAM is unknown', pod: podWith(), attached: config({ type: 'dhcp' }), message: 'IPAM dhcp' },
  {
    where: 'the user’s networks cannot be read',
    pod: podWith({ [networks]: '[{' }),
    attached: whereabouts,
    message: 'cannot be read',
  },
])('a pod starts without extra addresses where $where, and its user is told', ({ pod, attached, message }) => {
  const before = pod.metadata?.annotations?.[networks];
  const admission = admitPod(request(pod), surroundings(attached), signer);
  const after = admission.result === 'Patched' ? patched(pod, admission.patch) : pod;

  expect(after.metadata?.annotations?.[networks]).toBe(before);
  expect(after.metadata?.annotations?.['connectionbudget.io/plan']).toContain('"extra":0');
  expect(admission.warnings[0]).toContain(message);
  expect(admission.warnings[0]).toMatch(/; pods start without extra addresses$/);
});

test('a pod in the network of its node asks for nothing', () => {
  const { asked, extra } = admitted(podWith({}, { hostNetwork: true }));

  expect([asked, extra]).toEqual([undefined, 0]);
});

test('a budget is admitted with what its attachment lacks', () => {
  const refusal = {
    reason: 'AttachmentNotFound',
    message: 'NetworkAttachmentDefinition messaging/net-a does not exist',
  };
  const observedFor: Surroundings['observedFor'] = ({ namespace }) => ({
    ...nothingObserved(namespace),
    attachment: { most: 0, refusal: { ...refusal, reason: 'AttachmentNotFound' } },
  });

  const { warnings } = admitBudget(request(outboundBudget({ spec })), { ...surroundings(undefined), observedFor });

  expect(warnings[0]).toBe(`ConnectionBudget gateway: ${refusal.message}; pods start without extra addresses`);
});
