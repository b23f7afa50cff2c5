import { Agent, request } from 'node:https';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished, expect, test } from 'vitest';
import { nothingObserved } from '../../src/api/demand.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { caBundleOf, defaultCertificatePolicy, nextCertificateSet } from '../../src/webhook/certificate-set.ts';
import { startWebhookServer, type WebhookServer } from '../../src/webhook/server.ts';
import type { Surroundings } from '../../src/webhook/surroundings.ts';
import { createWebhookMetrics } from '../../src/webhook/webhook-metrics.ts';
import { until } from '../kube/until.ts';
import { outboundBudget, parsedBudget } from './budgets.ts';

const moment = { nowMs: Date.now(), hosts: ['127.0.0.1'], policy: defaultCertificatePolicy };
const set = nextCertificateSet(undefined, moment);
const ca = Buffer.from(caBundleOf(set), 'base64').toString('utf8');
const certificateOf = ({ server }: typeof set) => ({
  cert: server.certificate,
  key: server.privateKey,
  expiresAtMs: 0,
});
const metrics = createMetrics();
const webhookMetrics = createWebhookMetrics(metrics);

const working: Surroundings = {
  budgetsMeaning: () => [parsedBudget()],
  observedFor: ({ namespace }) => nothingObserved(namespace),
  nodeFactsFor: () => undefined,
  namespaceLabels: () => undefined,
  attachment: () => undefined,
};
const failing: Surroundings = {
  ...working,
  observedFor: () => {
    throw new Error('the cache is broken');
  },
};

const start = async (
  surroundings = working,
  { counted = webhookMetrics, ...more }: { counted?: typeof webhookMetrics; hurry?: () => Promise<void> } = {},
): Promise<WebhookServer> => {
  const server = await startWebhookServer(
    {
      surroundings,
      ...more,
      signer: () => ({ keyId: 'key', sign: () => Buffer.alloc(64) }),
      logger: createLogger({ level: 'error', name: 'test', destination: new PassThrough().resume() }),
      certificate: certificateOf(set),
      port: 0,
      host: '127.0.0.1',
      metrics: counted,
    },
    new AbortController().signal,
  );
  onTestFinished(() => server.drain(0));
  return server;
};

interface Received {
  readonly status: number | undefined;
  readonly body: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

interface Sent {
  readonly method?: string;
  readonly agent?: Agent | false;
  readonly ca?: string;
}

const send = (
  { port }: WebhookServer,
  path: string,
  [body, sent = {}]: readonly [body: string | Buffer, sent?: Sent],
) =>
  new Promise<Received>((resolve, reject) => {
    const options = { port, path, ca, agent: false as const, method: 'POST', ...sent };
    const call = request({ host: '127.0.0.1', ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode, body: Buffer.concat(chunks).toString(), headers: response.headers }),
      );
      response.on('error', reject);
    });
    call.on('error', reject);
    call.end(body);
  });

const review = (object: unknown): string =>
  JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { uid: 'u1', operation: 'CREATE', namespace: 'messaging', object },
  });
const pod = { metadata: { labels: { app: 'gateway' } }, spec: { containers: [{ name: 'program' }] } };

test('a pod’s review is answered with its uid and a patch', async () => {
  const { status, body } = await send(await start(), '/mutate-pods?timeout=2s', [review(pod)]);

  expect(status).toBe(200);
  expect(JSON.parse(body)).toMatchObject({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid: 'u1', allowed: true, patchType: 'JSONPatch' },
  });
});

test('a review waits for what was missed while the API server was away, and not for ever', async () => {
  let budgets: readonly ReturnType<typeof parsedBudget>[] = [];
  const surroundings = { ...working, budgetsMeaning: () => budgets };
  const late = await start(surroundings, { hurry: () => sleep(50).then(() => void (budgets = [parsedBudget()])) });
  const never = await start(surroundings, { hurry: () => new Promise(() => undefined) });

  expect((await send(late, '/mutate-pods', [review(pod)])).body).toContain('JSONPatch');
  budgets = [];
  expect((await send(never, '/mutate-pods', [review(pod)])).body).not.toContain('JSONPatch');
});

test('a bad budget’s review is answered with 422 and its causes', async () => {
  const { body } = await send(await start(), '/validate-budgets', [
    review(outboundBudget({ spec: { headroomPercent: -1 } })),
  ]);

  expect(JSON.parse(body)).toMatchObject({
    response: {
      allowed: false,
      status: { code: 422, reason: 'Invalid', message: 'spec.headroomPercent: -1: must be at least 0' },
    },
  });
});

test.each([
  ['not JSON', '{'],
  ['no review', '{"kind":"Pod"}'],
  ['a review of v1beta1', review(pod).replace('k8s.io/v1', 'k8s.io/v1beta1')],
  ['empty', ''],
])('a body that is %s is a bad request', async (_, body) => {
  expect((await send(await start(), '/mutate-pods', [body])).status).toBe(400);
});

const padded = (mib: number): string => review({ ...pod, padding: 'x'.repeat(mib * 1024 * 1024) });

test('a body of 8 MiB is read, one of 17 MiB is refused', async () => {
  const server = await start();

  expect((await send(server, '/mutate-pods', [padded(8)])).status).toBe(200);
  expect((await send(server, '/mutate-pods', [padded(17)])).status).toBe(413);
});

test('large bodies that come slowly take no more than 64 MiB together, and a small one passes them', async () => {
  const server = await start();
  const answers: (number | undefined)[] = [];
  const slow = Array.from({ length: 6 }, () => {
    const options = { host: '127.0.0.1', port: server.port, path: '/mutate-pods', ca, agent: false as const };
    const call = request({ ...options, method: 'POST' }, ({ statusCode }) => answers.push(statusCode));
    call.on('error', () => undefined).write(Buffer.alloc(15 * 1024 * 1024, 0x20));
    return call;
  });
  onTestFinished(() => slow.forEach((call) => call.destroy()));

  // Five times 14 MiB beyond the first are 70, four are 56.
  await expect.poll(() => answers, { timeout: 15_000 }).toEqual([413, 413]);
  expect((await send(server, '/mutate-pods', [review(pod)])).status).toBe(200);
  slow.forEach((call) => call.destroy());
  const again = async () => (await send(server, '/mutate-pods', [padded(8)])).status;
  await expect.poll(again, { timeout: 10_000 }).toBe(200);
});

test('other paths and methods are told so', async () => {
  const server = await start();

  expect((await send(server, '/', [''])).status).toBe(404);
  expect((await send(server, '/mutate-pods', ['', { method: 'GET' }])).status).toBe(405);
});

test('when we fail, a pod is admitted as it is, a budget is not judged, and both are counted', async () => {
  const server = await start(failing);

  const admitted = await send(server, '/mutate-pods', [review(pod)]);
  const judged = await send(server, '/validate-budgets', [review(outboundBudget())]);

  expect(JSON.parse(admitted.body)).toHaveProperty('response.allowed', true);
  expect(JSON.parse(admitted.body)).not.toHaveProperty('response.patch');
  expect(judged.status).toBe(500);
  expect(await metrics.text()).toContain(
    'connectionbudget_webhook_requests_total{path="mutate-pods",result="Failed"} 1',
  );
});

test('a refusal is counted by the field that broke a rule, and what is in flight only until its answer', async () => {
  const server = await start();
  const [inbound] = (outboundBudget() as { readonly spec: { readonly inbound: readonly object[] } }).spec.inbound;
  const wrong = outboundBudget({ spec: { inbound: [{ ...inbound, port: 70_000 }] } });
  const endless = request({ host: '127.0.0.1', port: server.port, path: '/validate-budgets', ca, method: 'POST' });
  endless.on('error', () => undefined);
  endless.write('{');
  const inFlight = async (): Promise<string | undefined> =>
    /^connectionbudget_webhook_in_flight_requests (\d+)$/m.exec(await metrics.text())?.[1];

  const { body } = await send(server, '/validate-budgets', [review(wrong)]);
  await until(inFlight, '1');
  endless.destroy();

  expect(JSON.parse(body)).toHaveProperty('response.allowed', false);
  expect(await metrics.text()).toContain('connectionbudget_webhook_refusals_total{field="inbound"} 1');
  await until(inFlight, '0');
});

test('a request that cannot be answered at all ends its own connection and no other', async () => {
  const failures = [new Error('out of numbers')];
  const answered = (): void => {
    for (const failure of failures.splice(0)) throw failure;
  };
  const server = await start(working, { counted: { ...webhookMetrics, answered } });

  await expect(send(server, '/mutate-pods', [review(pod)])).rejects.toThrow('socket hang up');
  expect((await send(server, '/mutate-pods', [review(pod)])).status).toBe(200);
});

test('a connection is kept for longer than the API server keeps it', async () => {
  const agent = new Agent({ keepAlive: true });
  onTestFinished(() => agent.destroy());
  const { headers } = await send(await start(), '/mutate-pods', [review(pod), { agent }]);

  expect(headers['keep-alive']).toBe('timeout=120');
});

test('a draining server answers, and ends each connection with its answer', async () => {
  const server = await start();
  const agent = new Agent({ keepAlive: true });
  onTestFinished(() => agent.destroy());
  await send(server, '/mutate-pods', [review(pod), { agent }]);

  const drained = server.drain(300);
  const during = await send(server, '/mutate-pods', [review(pod), { agent }]);
  await drained;

  expect(during).toMatchObject({ status: 200, headers: { connection: 'close' } });
  await expect(send(server, '/mutate-pods', [review(pod)])).rejects.toThrow('ECONNREFUSED');
});

test('a new certificate is shown to new connections while an old one goes on', async () => {
  const server = await start();
  const agent = new Agent({ keepAlive: true });
  onTestFinished(() => agent.destroy());
  await send(server, '/mutate-pods', [review(pod), { agent }]);
  const other = nextCertificateSet(undefined, moment);
  const otherCa = Buffer.from(caBundleOf(other), 'base64').toString('utf8');

  server.useCertificate(certificateOf(other));

  expect((await send(server, '/mutate-pods', [review(pod), { agent }])).status).toBe(200);
  expect((await send(server, '/mutate-pods', [review(pod), { ca: otherCa }])).status).toBe(200);
  await expect(send(server, '/mutate-pods', [review(pod)])).rejects.toThrow('unable to verify the first certificate');
});
