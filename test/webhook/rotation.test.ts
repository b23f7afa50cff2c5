import { once } from 'node:events';
import { type IncomingMessage } from 'node:http';
import { Agent, request, type RequestOptions } from 'node:https';
import { PassThrough } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { nothingObserved } from '../../src/api/demand.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { caBundleOf, type CertificateSet, nextCertificateSet } from '../../src/webhook/certificate-set.ts';
import { startWebhookServer } from '../../src/webhook/server.ts';
import { createWebhookMetrics } from '../../src/webhook/webhook-metrics.ts';
import { parsedBudget } from './budgets.ts';

/** Years in seconds: an authority every 1.2 s, a certificate every 0.5 s. */
const policy = {
  authorityValidMs: 3_600_000,
  authorityRenewMs: 1200,
  serverValidMs: 3_600_000,
  serverRenewMs: 500,
  overlapMs: 400,
};
const nextSet = (before: CertificateSet | undefined): CertificateSet =>
  nextCertificateSet(before, { nowMs: Date.now(), hosts: ['127.0.0.1'], policy });
const shownBy = ({ server }: CertificateSet) => ({ cert: server.certificate, key: server.privateKey, expiresAtMs: 0 });
const bundleOf = (set: CertificateSet): string => Buffer.from(caBundleOf(set), 'base64').toString('utf8');

const start = async (set: CertificateSet) => {
  const server = await startWebhookServer(
    {
      surroundings: {
        budgetsMeaning: () => [parsedBudget()],
        observedFor: ({ namespace }) => nothingObserved(namespace),
        nodeFactsFor: () => undefined,
        namespaceLabels: () => undefined,
        attachment: () => undefined,
      },
      signer: () => ({ keyId: 'key', sign: () => Buffer.alloc(64) }),
      logger: createLogger({ level: 'error', name: 'test', destination: new PassThrough().resume() }),
      certificate: shownBy(set),
      port: 0,
      host: '127.0.0.1',
      metrics: createWebhookMetrics(createMetrics()),
    },
    new AbortController().signal,
  );
  onTestFinished(() => server.drain(0));
  return server;
};

const object = { metadata: { labels: { app: 'gateway' } }, spec: { containers: [{ name: 'program' }] } };
const review = JSON.stringify({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: { uid: 'u1', operation: 'CREATE', namespace: 'messaging', object },
});

/** The serial number of the certificate that the connection was made with. */
const ask = async (options: RequestOptions): Promise<string> => {
  const call = request({ host: '127.0.0.1', path: '/mutate-pods', method: 'POST', ...options }).end(review);
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  const { serialNumber } = (response.socket as TLSSocket).getPeerCertificate();
  const body = (await response.toArray()).join('');
  if (!body.includes('"patchType":"JSONPatch"')) throw new Error(`${response.statusCode}: ${body}`);
  return serialNumber;
};

test('while certificates and authorities are exchanged, no call fails, on kept connections or new ones', async () => {
  let set = nextSet(undefined);
  let known = set;
  const { port, useCertificate } = await start(set);
  const seen = { issuers: new Set<string>(), failures: [] as unknown[], kept: [] as string[], anew: [] as string[] };
  const keptAgents = [1, 2].map(() => new Agent({ keepAlive: true, maxSockets: 1 }));
  onTestFinished(() => keptAgents.forEach((agent) => agent.destroy()));
  const first = bundleOf(set);
  const calls: Promise<unknown>[] = [];
  const call = (into: string[], options: RequestOptions): void => {
    const asked = ask({ port, ...options }).then((serial) => into.push(serial));
    calls.push(asked.catch((error: unknown) => seen.failures.push(error)));
  };

  const endMs = performance.now() + 5000;
  for (let round = 0; performance.now() < endMs; round += 1) {
    for (const agent of keptAgents) call(seen.kept, { agent, ca: first });
    // The API server knows what was published a round of upkeep before.
    call(seen.anew, { agent: false, ca: bundleOf(known) });
    if (round % 10 === 9) {
      known = set;
      set = nextSet(set);
      seen.issuers.add(set.server.issuer);
      useCertificate(shownBy(set));
    }
    await wait(10);
  }
  await Promise.all(calls);

  expect(seen.failures).toEqual([]);
  expect(new Set(seen.kept).size).toBe(1);
  expect(new Set(seen.anew).size).toBeGreaterThan(5);
  expect(seen.issuers.size).toBeGreaterThan(2);
  expect(seen.kept.length + seen.anew.length).toBeGreaterThan(600);
}, 60_000);
