import { Readable } from 'node:stream';
import { type Dispatcher, errors } from 'undici';
import type { Credentials } from './credentials.ts';
import { errorForStatus, isKubeError, KubeError, parseRetryAfterMs, parseStatus } from './kube-error.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
  /** Asked once more when the connection is ready and the body is about to be written. */
  readonly mayWrite?: () => boolean;
}

/** Stands in the server's audit log, and is the field manager of writes that name none. */
const userAgent = 'connectionbudget';

interface WireRequest {
  readonly origin: string;
  readonly path: string;
  readonly method: HttpRequest['method'];
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Readable | null;
}

/** A kubeconfig's server may carry a path of its own (https://proxy/clusters/a), which goes before ours. */
export function wireRequest(server: URL, request: HttpRequest, credentials: Credentials): WireRequest {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (value !== undefined) query.set(name, String(value));
  }
  const search = query.size === 0 ? '' : `?${query.toString()}`;
  const body = request.body === undefined ? undefined : JSON.stringify(request.body);
  return {
    origin: server.origin,
    path: `${server.pathname.replace(/\/$/u, '')}${request.path}${search}`,
    method: request.method,
    headers: {
      'user-agent': userAgent,
      accept: request.accept ?? 'application/json',
      ...contentHeaders(request, body),
      ...credentials.headers,
    },
    body:
      body === undefined || request.mayWrite === undefined
        ? (body ?? null)
        : Readable.from(guardedBody(body, request.mayWrite)),
  };
}

export function notLeading(): KubeError {
  return new KubeError('not the leader any more: nothing is written', { kind: 'NotLeading' });
}

async function* guardedBody(text: string, mayWrite: () => boolean): AsyncGenerator<string, void> {
  if (!mayWrite()) throw notLeading();
  yield text;
}

function contentHeaders(request: HttpRequest, body: string | undefined): Readonly<Record<string, string>> {
  if (body === undefined) return {};
  const length = String(Buffer.byteLength(body));
  return { 'content-type': request.contentType ?? 'application/json', 'content-length': length };
}

export function parseBody(text: string): unknown {
  try {
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  } catch (cause) {
    throw new KubeError('the API server answered with something that is not JSON', { kind: 'Malformed', cause });
  }
}

export async function errorForAnswer(answer: Dispatcher.ResponseData): Promise<KubeError> {
  const retryAfter = answer.headers['retry-after'];
  const retryAfterMs = parseRetryAfterMs(typeof retryAfter === 'string' ? retryAfter : undefined, Date.now());
  return errorForStatus(answer.statusCode, parseStatus(await answer.body.text()), retryAfterMs);
}

export interface FailedCall {
  readonly error: unknown;
  readonly signal: AbortSignal;
  readonly expired: boolean;
}

/** One KubeError for everything that can go wrong below HTTP. */
export function kubeErrorFor({ error, signal, expired }: FailedCall): KubeError {
  if (isKubeError(error)) return error;
  if (signal.aborted) return new KubeError('the call was given up', { kind: 'Aborted', cause: error });
  if (expired || isTimeout(error)) return new KubeError('no answer in time', { kind: 'Timeout', cause: error });
  return new KubeError('the connection to the API server failed', { kind: 'Network', cause: error });
}

function isTimeout(error: unknown): boolean {
  return (
    error instanceof errors.BodyTimeoutError ||
    error instanceof errors.HeadersTimeoutError ||
    error instanceof errors.ConnectTimeoutError
  );
}
