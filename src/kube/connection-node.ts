import { Agent, request, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { agentFieldManager, apiVersion, nodePlural } from '../api/names.ts';
import { type ApiEndpoint, type ApiLocation, readApiEndpoint } from './api-endpoint.ts';
import { startDeadline } from './deadline.ts';
import { errorForStatus, isKubeError, KubeError, parseRetryAfterMs, parseStatus } from './kube-error.ts';

export type { ApiLocation } from './api-endpoint.ts';
export { KubeError } from './kube-error.ts';

/** Writes this node's ConnectionNode. Imports neither client-node nor undici: the agent has 80 MiB for everything. */
export interface ConnectionNodeWriter {
  /**
   * Server-side apply of the whole status, after creating the object where it is missing. Throws KubeError; Conflict
   * means that somebody else owns one of the fields, which is not overruled.
   */
  readonly write: (name: string, status: object, call: { readonly signal: AbortSignal }) => Promise<void>;
  readonly close: () => void;
}

const timeoutMs = 10_000;
const collection = `/apis/${apiVersion}/${nodePlural}`;
const identity = { apiVersion, kind: 'ConnectionNode' } as const;

export function createConnectionNodeWriter(location: ApiLocation): ConnectionNodeWriter {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const send = async (message: Message, signal: AbortSignal): Promise<void> => {
    using deadline = startDeadline(signal, timeoutMs);
    try {
      await post(await readEndpoint(location), message, { agent, signal: deadline.signal });
    } catch (error) {
      if (isKubeError(error)) throw error;
      const kind = signal.aborted ? 'Aborted' : deadline.hasExpired() ? 'Timeout' : 'Network';
      throw new KubeError('the ConnectionNode could not be written', { kind, cause: error });
    }
  };
  return {
    write: async (name, status, { signal }) => {
      const apply = applyStatus(name, status);
      try {
        await send(apply, signal);
      } catch (error) {
        if (!isKubeError(error, 'NotFound')) throw error;
        await createIfMissing((message) => send(message, signal), name);
        await send(apply, signal);
      }
    },
    close: () => agent.destroy(),
  };
}

async function createIfMissing(send: (message: Message) => Promise<void>, name: string): Promise<void> {
  const body = { ...identity, metadata: { name } };
  const path = `${collection}?fieldManager=${agentFieldManager}`;
  try {
    await send({ method: 'POST', path, contentType: 'application/json', body });
  } catch (error) {
    if (!isKubeError(error, 'AlreadyExists')) throw error;
  }
}

interface Message {
  readonly method: 'POST' | 'PATCH';
  readonly path: string;
  readonly contentType: string;
  readonly body: object;
}

function applyStatus(name: string, status: object): Message {
  return {
    method: 'PATCH',
    path: `${collection}/${encodeURIComponent(name)}/status?fieldManager=${agentFieldManager}`,
    contentType: 'application/apply-patch+yaml',
    body: { ...identity, metadata: { name }, status },
  };
}

async function readEndpoint(location: ApiLocation): Promise<ApiEndpoint> {
  try {
    return await readApiEndpoint(location);
  } catch (cause) {
    throw new KubeError('the credentials cannot be read', { kind: 'Unauthorized', cause });
  }
}

/** One request; resolves when the server took it, throws KubeError for its answer and plain errors for the network. */
async function post(
  endpoint: ApiEndpoint,
  message: Message,
  { agent, signal }: { readonly agent: Agent; readonly signal: AbortSignal },
): Promise<void> {
  const { server, token, ...tls } = endpoint;
  const body = JSON.stringify(message.body);
  const headers = {
    'content-type': message.contentType,
    'content-length': Buffer.byteLength(body),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  const target = new URL(server.pathname.replace(/\/$/u, '') + message.path, server);
  const response = await exchange(target, { ...tls, agent, signal, headers, method: message.method }, body);
  const text = await textOf(response);
  const { statusCode = 0 } = response;
  if (statusCode >= 200 && statusCode < 300) return;
  const retryAfterMs = parseRetryAfterMs(response.headers['retry-after'], Date.now());
  throw errorForStatus(statusCode, parseStatus(text), retryAfterMs);
}

function exchange(target: URL, options: RequestOptions, body: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request(target, options, resolve).once('error', reject).end(body);
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}
