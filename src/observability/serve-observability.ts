import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { once } from 'node:events';
import { labelText } from './metric-tables.ts';
import type { Metrics } from './metrics.ts';

// An import would read every export of node:http, also those that load fetch and WebSocket when they are read: 12 MB.
const { createServer } = process.getBuiltinModule('node:http');

/** One thing that must be so before others may rely on this process. */
export interface Gate {
  /** One of a few fixed names: it is a metric's label. */
  readonly gate: string;
  readonly isOpen: boolean;
  /** What is waited for while it is closed; names it: it is a line of /readyz. */
  readonly reason: string;
}

export interface ObservabilityOptions {
  /** 0: a free one, told by `port` of what is returned. */
  readonly port: number;
  /** Default: all addresses, for the kubelet asks from outside of the pod. */
  readonly host?: string;
  readonly gates: () => readonly Gate[];
  /** What is broken so that only a restart helps; default: nothing. A loop that stands still does not answer at all. */
  readonly broken?: () => readonly string[];
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
 * GET /healthz: 200, or 503 with what only a restart mends. /readyz: 200, or 503 with a line for each closed gate. /metrics.
 * Everything else is 404. Rejects when the port cannot be had.
 */
export async function serveObservability(options: ObservabilityOptions): Promise<ObservabilityServer> {
  observeGates(options);
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
      return verdict(options.broken?.() ?? []);
    case '/readyz':
      return verdict(closedGates(options.gates()));
    case '/metrics':
      return metricsText(options.metrics);
    default:
      return { status: 404, body: 'not found\n' };
  }
}

const closedGates = (gates: readonly Gate[]): readonly string[] =>
  gates.flatMap(({ isOpen, reason }) => (isOpen ? [] : [reason]));

function verdict(faults: readonly string[]): Answer {
  return faults.length === 0 ? { status: 200, body: 'ok\n' } : { status: 503, body: `${faults.join('\n')}\n` };
}

export function observeGates({ metrics, gates }: Pick<ObservabilityOptions, 'metrics' | 'gates'>): void {
  metrics.table({
    name: 'connectionbudget_readiness_gate_status',
    help: '1 while a gate of /readyz is open, 0 while it is closed.',
    labels: ['gate'],
    rows: () => gates().map(({ gate, isOpen }) => [labelText({ gate }), Number(isOpen)]),
  });
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
