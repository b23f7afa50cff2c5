import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { Metrics } from './metrics.ts';

// An import would read every export of node:http, also those that load fetch and WebSocket when they are read: 12 MB.
const { createServer } = process.getBuiltinModule('node:http');

export interface ObservabilityOptions {
  /** 0: a free one, told by `port` of what is returned. */
  readonly port: number;
  /** Default: all addresses, for the kubelet asks from outside of the pod. */
  readonly host?: string;
  /** True, or why not. */
  readonly ready: () => true | readonly string[];
  readonly metrics: Metrics;
  readonly signal: AbortSignal;
}

export interface ObservabilityServer {
  readonly port: number;
  /** Resolves when the signal fired and the last answer is out. */
  readonly closed: Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
}

/** Above the 90 s that probes and Prometheus keep an idle connection. */
const keepAliveTimeoutMs = 95_000;

/**
 * GET /healthz: 200 while the event loop runs. /readyz: 200, or 503 with one reason a line. /metrics. Everything else is
 * 404. Rejects when the port cannot be had.
 */
export async function serveObservability(options: ObservabilityOptions): Promise<ObservabilityServer> {
  const server = createServer((request, response) => {
    void safeAnswerFor(request, options).then((answer) => write(response, answer));
  });
  server.keepAliveTimeout = keepAliveTimeoutMs;
  server.listen(options.port, options.host);
  await once(server, 'listening', { signal: options.signal });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : options.port;
  return { port, closed: closeOn(options.signal, server) };
}

async function safeAnswerFor(request: IncomingMessage, options: ObservabilityOptions): Promise<Answer> {
  try {
    return await answerFor(request, options);
  } catch (error) {
    return { status: 500, body: `${String(error)}\n` };
  }
}

async function answerFor({ method, url = '' }: IncomingMessage, options: ObservabilityOptions): Promise<Answer> {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'only GET\n' };
  switch (url.split('?', 1)[0]) {
    case '/healthz':
      return { status: 200, body: 'ok\n' };
    case '/readyz':
      return readiness(options.ready());
    case '/metrics':
      return metricsText(options.metrics);
    default:
      return { status: 404, body: 'not found\n' };
  }
}

function readiness(ready: true | readonly string[]): Answer {
  return ready === true ? { status: 200, body: 'ok\n' } : { status: 503, body: `${ready.join('\n')}\n` };
}

async function metricsText(metrics: Metrics): Promise<Answer> {
  return { status: 200, body: await metrics.text(), contentType: metrics.contentType };
}

function write(response: ServerResponse, { status, body, contentType = 'text/plain; charset=utf-8' }: Answer): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) }).end(body);
}

async function closeOn(signal: AbortSignal, server: Server): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
  const closed = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  await closed;
}
