import { createPrivateKey, sign } from 'node:crypto';
import { parseReview } from '../../../src/webhook/admission-review.ts';
import { type Answer, answerFor } from '../../../src/webhook/answer.ts';
import { certificateSet, defaultCertificatePolicy, nextCertificateSet } from '../../../src/webhook/certificate-set.ts';
import { currentKey, defaultKeyPolicy, keyRing, nextKeyRing } from '../../../src/webhook/key-ring.ts';
import type { WebhookPath } from '../../../src/webhook/webhook-metrics.ts';
import { context } from '../../webhook/answer-context.ts';
import { outboundBudget } from '../../webhook/budgets.ts';
import { type Decoder, jsonOf, requireTrue } from '../decoder.ts';

const managedFields = [{ manager: 'kubectl', operation: 'Update', fieldsV1: { 'f:spec': { 'k:{"a":"["}': {} } } }];

const reviewOf = (object: unknown, rest: object = {}): string =>
  JSON.stringify({
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: { uid: 'u1', operation: 'CREATE', namespace: 'messaging', object, dryRun: false, ...rest },
  });

const pod = {
  metadata: {
    generateName: 'gateway-',
    namespace: 'messaging',
    labels: { app: 'gateway' },
    annotations: { a: 'b' },
    managedFields,
  },
  spec: {
    securityContext: { sysctls: [{ name: 'net.ipv4.ip_local_port_range', value: '1024 65535' }] },
    containers: [
      {
        name: 'gateway',
        ports: [{ name: 'mqtt', containerPort: 1883 }],
        livenessProbe: { tcpSocket: { port: 'mqtt' } },
        resources: { limits: { memory: '2Gi' } },
      },
    ],
    initContainers: [{ name: 'sidecar', restartPolicy: 'Always' }],
  },
};

const emptied = (text: string): unknown => {
  try {
    return JSON.parse(text, (name, value: unknown) =>
      name === 'managedFields' && Array.isArray(value) ? [] : value,
    ) as unknown;
  } catch {
    return undefined;
  }
};

/** "null" too for what is nested too deeply to be written. */
const jsonText = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? 'null';
  } catch {
    return 'null';
  }
};

const request = (json: unknown): unknown =>
  typeof json === 'object' && json !== null ? Reflect.get(json, 'request') : undefined;

const review: Decoder = {
  name: 'admission-review',
  seeds: [reviewOf(pod), reviewOf(outboundBudget(), { operation: 'UPDATE', oldObject: outboundBudget() })],
  words: ['"managedFields":[', '\\"managedFields":[', '"managedFields" : [', ']'],
  check: (input) => {
    const read = parseReview(input);
    if (read === undefined || !input.includes('{')) return;
    const text = input.toString('utf8');
    const expected = request(emptied(text));
    if (expected === undefined || text.split('"request"').length > 2) return;
    const { object } = expected as { readonly object?: unknown };
    requireTrue(jsonText(emptied(jsonText(read.object))) === jsonText(object), 'an object is read as it is written');
  },
};

/** An answer is a review with as many bytes as characters and the request's uid, or says that there was none. */
const checkAnswer = (path: WebhookPath, input: Buffer): Answer => {
  const answer = answerFor(path, input, context);
  if (answer.status !== 200) return answer;
  requireTrue(Buffer.byteLength(answer.body) === answer.body.length, 'an answer is ASCII');
  const uid = parseReview(input)?.uid ?? '';
  const { response } = JSON.parse(answer.body) as {
    readonly response: { readonly uid: string; readonly warnings?: readonly string[] };
  };
  requireTrue(response.uid === uid, 'an answer has the uid of its request');
  for (const warning of response.warnings ?? [])
    requireTrue(!/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u.test(warning), 'a warning does not command a terminal');
  return answer;
};

const pods: Decoder = {
  name: 'pod-admission',
  seeds: [reviewOf(pod), reviewOf({ ...pod, metadata: { ...pod.metadata, annotations: undefined } })],
  words: ['managedFields', 'memory', '1e999', '-1'],
  check: (input) => {
    const answer = checkAnswer('mutate-pods', input);
    requireTrue(answer.status === 200 || parseReview(input) === undefined, 'a pod starts whatever it is');
  },
};

const budgets: Decoder = {
  name: 'budget-admission',
  seeds: [
    reviewOf(outboundBudget()),
    reviewOf(outboundBudget(), { operation: 'UPDATE', oldObject: outboundBudget({ spec: { headroomPercent: 5 } }) }),
  ],
  words: ['"1e999"', '"9E"', '-1', '__proto__'],
  check: (input) => requireTrue(checkAnswer('validate-budgets', input).result !== 'Failed', 'a budget is judged'),
};

const nowMs = Date.UTC(2026, 10, 25);
const certificates = nextCertificateSet(undefined, { nowMs, hosts: ['a.svc'], policy: defaultCertificatePolicy });

const certificateDocument: Decoder = {
  name: 'certificate-secret',
  seeds: [JSON.stringify(certificates)],
  check: (input) => {
    const read = certificateSet.safeParse(jsonOf(input.toString('utf8'))).data;
    if (read === undefined) return;
    const next = nextCertificateSet(read, { nowMs: nowMs + 1000, hosts: ['b.svc'], policy: defaultCertificatePolicy });
    requireTrue(next.server.certificate !== read.server.certificate, 'another host is another certificate');
  },
};

const ring = nextKeyRing(undefined, nowMs, defaultKeyPolicy);

const keyDocument: Decoder = {
  name: 'key-secret',
  seeds: [JSON.stringify(ring)],
  check: (input) => {
    const read = keyRing.safeParse(jsonOf(input.toString('utf8'))).data;
    const next = nextKeyRing(read, nowMs + 1000, defaultKeyPolicy);
    const key = currentKey(next, nowMs + 1000);
    if (key?.privateKey === undefined) return;
    const der = { key: Buffer.from(key.privateKey, 'base64'), format: 'der', type: 'pkcs8' } as const;
    requireTrue(sign(null, Buffer.alloc(8), createPrivateKey(der)).length === 64, 'a key of the ring signs');
  },
};

export const webhookDecoders: readonly Decoder[] = [review, pods, budgets, certificateDocument, keyDocument];
