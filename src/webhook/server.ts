import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { sleep } from '../kube/deadline.ts';
import { admitPodBy } from './admit.ts';
import { type Answer, type AnswerContext, answerFor } from './answer.ts';
import type { ServerCertificate } from './certificates.ts';
import { planPod, remembering } from './plan-pod.ts';
import { type WebhookMetrics, type WebhookPath, webhookPaths } from './webhook-metrics.ts';

export interface WebhookServerOptions extends Omit<AnswerContext, 'admitPod'> {
  readonly certificate: ServerCertificate;
  /** 0: a free one. */
  readonly port: number;
  readonly host?: string;
  readonly metrics: WebhookMetrics;
  /** WebhookOptions.hurry */
  readonly hurry?: () => Promise<unknown> | undefined;
  /** Somebody who called does not trust the certificate. */
  readonly onDistrust?: () => void;
}

export interface WebhookServer {
  readonly port: number;
  /** For new connections; those that are open go on. */
  readonly useCertificate: (certificate: ServerCertificate) => void;
  /** Answers what still comes for `delayMs`, each as its connection's last; then takes nothing more and finishes. */
  readonly drain: (delayMs: number) => Promise<void>;
}

/** kube-apiserver keeps idle connections for 90 s; the server must not be the one who closes. */
const keepAliveTimeoutMs = 120_000;
/** kube-apiserver gives up after 2 to 10 s. */
const requestTimeoutMs = 15_000;
/** A review holds the object (3 MiB are the API server's limit), of updates also the old one, as JSON. */
const mostBodyBytes = 16 * 1024 * 1024;
/** Beyond the first MiB of each, all bodies together: many that come slowly must not fill the memory of everybody. */
const mostLargeBytes = 64 * 1024 * 1024;
const smallBodyBytes = 1024 * 1024;
const finishWithinMs = 5_000;
/** The shortest time that an API server gives a webhook of ours is 2 s. */
const catchUpWithinMs = 1_000;
const never = new AbortController().signal;

/** What is held of bodies beyond their first MiB. */
interface LargeBodies {
  bytes: number;
}

/** HTTP/1.1 only: the API server would put all its calls into one HTTP/2 connection, to one replica. */
export const startWebhookServer = async (
  options: WebhookServerOptions,
  signal: AbortSignal,
): Promise<WebhookServer> => {
  const state = { draining: false };
  const large: LargeBodies = { bytes: 0 };
  const context = { ...options, large, admitPod: admitPodBy(remembering(planPod)) };
  const server = createServer(tlsOptions(options.certificate), (request, response) => {
    if (state.draining) response.setHeader('connection', 'close');
    serve(request, response, context).catch((error: unknown) => {
      options.logger.error({ error }, 'a request could not be answered');
      response.destroy();
    });
  });
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => {
    if (distrust.test(error.code ?? '')) options.onDistrust?.();
  });
  server.keepAliveTimeout = keepAliveTimeoutMs;
  server.requestTimeout = requestTimeoutMs;
  server.listen(options.port, options.host);
  await once(server, 'listening', { signal });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    useCertificate: (certificate) => server.setSecureContext(tlsOptions(certificate)),
    drain: async (delayMs) => {
      state.draining = true;
      await sleep(delayMs, never);
      await close(server);
    },
  };
};

/** Alerts 42 and 48 of RFC 8446, as OpenSSL names them; what is written in Go sends the first. */
const distrust = /ALERT_(BAD_CERTIFICATE|UNKNOWN_CA)$/;

const tlsOptions = ({ cert, key }: ServerCertificate) => ({ cert, key, minVersion: 'TLSv1.2' }) as const;

const close = async (server: Server): Promise<void> => {
  if (!server.listening) return;
  const closed = once(server, 'close');
  server.close();
  const timer = setTimeout(() => server.closeAllConnections(), finishWithinMs);
  await closed;
  clearTimeout(timer);
};

const pathOf = ({ url = '' }: IncomingMessage): WebhookPath | undefined => {
  const path = url.split('?', 1)[0];
  return webhookPaths.find((known) => path === `/${known}`);
};

const serve = async (
  request: IncomingMessage,
  response: ServerResponse,
  context: AnswerContext & Pick<WebhookServerOptions, 'metrics' | 'hurry'> & { readonly large: LargeBodies },
): Promise<void> => {
  const path = pathOf(request);
  if (path === undefined) return write(response, { status: 404, body: 'not found\n' });
  if (request.method !== 'POST') return write(response, { status: 405, body: 'only POST\n' });
  context.metrics.begun();
  response.once('close', context.metrics.ended);
  const body = await readBody(request, context.large);
  if (body === 'Aborted') return undefined;
  const startedAtMs = performance.now();
  // Nothing large is held: that is only limited while it is read.
  const caughtUp = body.length <= smallBodyBytes ? context.hurry?.() : undefined;
  if (caughtUp !== undefined) await Promise.race([caughtUp, sleep(catchUpWithinMs, never)]);
  const answer: Answer =
    body === 'TooLarge' ? { status: 413, body: 'too large\n', result: 'TooLarge' } : answerFor(path, body, context);
  context.metrics.answered(path, answer.result, (performance.now() - startedAtMs) / 1000);
  if (answer.refusedField !== undefined) context.metrics.refused(answer.refusedField);
  return write(response, answer);
};

const readBody = (request: IncomingMessage, large: LargeBodies): Promise<Buffer | 'TooLarge' | 'Aborted'> =>
  new Promise((resolve) => {
    let chunks: Buffer[] = [];
    let length = 0;
    let beyondSmall = 0;
    const end = (body: Buffer | 'TooLarge' | 'Aborted'): void => {
      large.bytes -= beyondSmall;
      beyondSmall = 0;
      chunks = [];
      request.off('data', take);
      resolve(body);
    };
    const take = (chunk: Buffer): void => {
      chunks.push(chunk);
      length += chunk.length;
      const added = Math.max(0, length - smallBodyBytes) - beyondSmall;
      beyondSmall += added;
      large.bytes += added;
      if (length > mostBodyBytes || large.bytes > mostLargeBytes) {
        end('TooLarge');
        request.resume();
      }
    };
    request.on('data', take);
    request.on('end', () => end(Buffer.concat(chunks)));
    request.on('close', () => end('Aborted'));
    request.on('error', () => end('Aborted'));
  });

const write = (response: ServerResponse, { status, body }: Pick<Answer, 'status' | 'body'>): void => {
  const contentType = status === 200 ? 'application/json' : 'text/plain; charset=utf-8';
  if (status === 413) response.setHeader('connection', 'close');
  response.writeHead(status, { 'content-type': contentType, 'content-length': body.length }).end(body, 'latin1');
};
