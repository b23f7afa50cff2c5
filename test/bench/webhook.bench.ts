/**
 * Reviews of an 8 KiB pod a second, over TLS on kept connections: our webhook beside a bare node:https server that reads
 * the same bodies and answers a constant. Each server has a thread of its own; rounds alternate.
 *
 *     node test/bench/webhook.bench.ts [SECONDS] [ROUNDS]       default 2 5
 */
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:https';
import { connect, type TLSSocket } from 'node:tls';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { nothingObserved } from '../../src/api/demand.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import {
  caBundleOf,
  type CertificateSet,
  defaultCertificatePolicy,
  nextCertificateSet,
} from '../../src/webhook/certificate-set.ts';
import { cachedSigner } from '../../src/webhook/keys.ts';
import { startWebhookServer } from '../../src/webhook/server.ts';
import { createWebhookMetrics } from '../../src/webhook/webhook-metrics.ts';
import { outboundBudget, parsedBudget } from '../webhook/budgets.ts';

interface Work {
  readonly kind: 'Webhook' | 'Bare';
  readonly set: CertificateSet;
}

const host = '127.0.0.1';

const startOurs = async ({ server }: CertificateSet): Promise<number> => {
  const budget = parsedBudget(outboundBudget());
  const signer = cachedSigner('bench', generateKeyPairSync('ed25519').privateKey);
  const webhook = await startWebhookServer(
    {
      surroundings: {
        budgetsIn: () => [budget],
        observedFor: () => nothingObserved('messaging'),
        nodeFactsFor: () => undefined,
        namespaceLabels: () => ({}),
        attachment: () => undefined,
      },
      signer: () => signer,
      logger: createLogger({ level: 'error', name: 'bench' }),
      certificate: { cert: server.certificate, key: server.privateKey, expiresAtMs: 0 },
      port: 0,
      host,
      metrics: createWebhookMetrics(createMetrics()),
    },
    new AbortController().signal,
  );
  return webhook.port;
};

const startBare = async ({ server: { certificate: cert, privateKey: key } }: CertificateSet): Promise<number> => {
  const constant = JSON.stringify({ response: { uid: 'u1', allowed: true, patch: 'x'.repeat(1600) } });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(constant) };
  const server = createServer({ cert, key, minVersion: 'TLSv1.2' }, (request, response) => {
    request.resume().on('end', () => response.writeHead(200, headers).end(constant));
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
};

/** As the API server sends it: managed fields, defaults, environment, about 8 KiB. */
const review = (): Buffer => {
  const env = Array.from({ length: 70 }, (_, index) => ({ name: `SETTING_${index}`, value: 'x'.repeat(60) }));
  const ports = [{ containerPort: 11_883, protocol: 'TCP' }];
  const object = {
    metadata: { generateName: 'gateway-', namespace: 'messaging', labels: { app: 'gateway' } },
    spec: { containers: [{ name: 'program', image: 'registry.example/gateway:1', env, ports }], securityContext: {} },
  };
  const request = { uid: 'u1', operation: 'CREATE', namespace: 'messaging', object, oldObject: null };
  const body = Buffer.from(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }));
  const head = `POST /mutate-pods?timeout=2s HTTP/1.1\r\nhost: webhook\r\ncontent-type: application/json\r\n`;
  return Buffer.concat([Buffer.from(`${head}content-length: ${body.length}\r\n\r\n`), body]);
};

/** Length of the first answer in the buffer; 0 where it is not whole. */
const answerLength = (received: Buffer): number => {
  const end = received.indexOf('\r\n\r\n');
  const head = end === -1 ? '' : received.subarray(0, end).toString('latin1');
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? Number.NaN);
  if (head !== '' && !head.startsWith('HTTP/1.1 200')) throw new Error(head);
  return end + 4 + length <= received.length ? end + 4 + length : 0;
};

interface Tally {
  answers: number;
  readonly latenciesMs: number[];
}

const pump = (socket: TLSSocket, request: Buffer, tally: Tally): void => {
  let received = Buffer.alloc(0);
  let sentAtMs = performance.now();
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    if (answerLength(received) === 0) return;
    received = Buffer.alloc(0);
    tally.answers += 1;
    tally.latenciesMs.push(performance.now() - sentAtMs);
    sentAtMs = performance.now();
    socket.write(request);
  });
  socket.write(request);
};

const open = async (port: number, ca: string): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port, ca, servername: '' }, () => resolve(socket));
    socket.on('error', reject);
  });

interface Load {
  readonly ca: string;
  readonly connections: number;
  readonly seconds: number;
}

interface Round {
  readonly perSecond: number;
  readonly p99Ms: number;
}

const measure = async (port: number, { ca, connections, seconds }: Load): Promise<Round> => {
  const sockets = await Promise.all(Array.from({ length: connections }, async () => open(port, ca)));
  const tally: Tally = { answers: 0, latenciesMs: [] };
  const startMs = performance.now();
  for (const socket of sockets) pump(socket, review(), tally);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const elapsedMs = performance.now() - startMs;
  for (const socket of sockets) socket.destroy();
  const sorted = tally.latenciesMs.toSorted((a, b) => a - b);
  return { perSecond: (tally.answers * 1000) / elapsedMs, p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0 };
};

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

const startThread = async (work: Work): Promise<{ readonly worker: Worker; readonly port: number }> => {
  const worker = new Worker(new URL(import.meta.url), { workerData: work });
  const port = await new Promise<number>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  return { worker, port };
};

const main = async (seconds: number, rounds: number): Promise<void> => {
  const moment = { nowMs: Date.now(), hosts: [host], policy: defaultCertificatePolicy };
  const set = nextCertificateSet(undefined, moment);
  const ca = Buffer.from(caBundleOf(set), 'base64').toString('utf8');
  const ours = await startThread({ kind: 'Webhook', set });
  const bare = await startThread({ kind: 'Bare', set });
  console.log(`one review is ${review().length.toLocaleString('en-US')} bytes`);
  for (const connections of [1, 16]) {
    const load = { ca, connections, seconds };
    const results: { readonly ours: Round; readonly bare: Round }[] = [];
    await measure(ours.port, { ...load, seconds: 1 });
    await measure(bare.port, { ...load, seconds: 1 });
    for (let round = 0; round < rounds; round += 1) {
      results.push({ bare: await measure(bare.port, load), ours: await measure(ours.port, load) });
    }
    const rate = (side: 'ours' | 'bare') => median(results.map((result) => result[side].perSecond));
    const p99 = (side: 'ours' | 'bare') => median(results.map((result) => result[side].p99Ms)).toFixed(2);
    const ratio = median(results.map((result) => result.ours.perSecond / result.bare.perSecond));
    const line = (side: 'ours' | 'bare') => `${Math.round(rate(side)).toLocaleString('en-US')}/s p99 ${p99(side)} ms`;
    console.log(
      `${connections} connections: webhook ${line('ours')} · bare ${line('bare')} · ratio ${ratio.toFixed(2)} (median of ${rounds})`,
    );
  }
  await Promise.all([ours.worker.terminate(), bare.worker.terminate()]);
};

if (isMainThread) {
  await main(Number(process.argv[2] ?? 2), Number(process.argv[3] ?? 5));
} else {
  const { kind, set } = workerData as Work;
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
  parentPort?.postMessage(await (kind === 'Webhook' ? startOurs(set) : startBare(set)));
}
