import { Agent, request, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { agentFieldManager, apiVersion, nodePlural } from '../api/names.ts';
import { type ApiEndpoint, type ApiLocation, readApiEndpoint } from './api-endpoint.ts';
import { startDeadline } from './deadline.ts';
import { applyDeclared } from './undeclared-fields.ts';
import { errorForStatus, isKubeError, KubeError, parseRetryAfterMs, parseStatus } from './kube-error.ts';

export type { ApiLocation } from './api-endpoint.ts';
export { KubeError, kubeErrorKinds } from './kube-error.ts';

/**
 * Writes this node's ConnectionNode, and reads what an earlier run wrote. Imports neither client-node nor undici: the
 * agent has 80 MiB for everything.
 */
export interface ConnectionNodeWriter {
  /** The whole object; undefined where there is none. Throws KubeError. */
  readonly read: (name: string, call: { readonly signal: AbortSignal }) => Promise<unknown>;
  /**
   * Server-side apply of the whole status, after creating the object where it is missing. Fields that the stored CRD, of an
   * older version, does not know are left out. Throws KubeError; Conflict means that somebody else owns one of the fields,
   * which is not overruled.
   */
  readonly write: (name: string, status: object, call: { readonly signal: AbortSignal }) => Promise<void>;
  readonly close: () => void;
}

const timeoutMs = 10_000;
const collection = `/apis/${apiVersion}/${nodePlural}`;
const identity = { apiVersion, kind: 'ConnectionNode' } as const;

export function createConnectionNodeWriter(
  location: ApiLocation,
  onLeftOut: (fields: readonly string[]) => void = () => undefined,
): ConnectionNodeWriter {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const send = async (message: Message, signal: AbortSignal): Promise<string> => {
    using deadline = startDeadline(signal, timeoutMs);
    try {
      return await exchange(await readEndpoint(location), message, { agent, signal: deadline.signal });
    } catch (error) {
      if (isKubeError(error)) throw error;
      const kind = signal.aborted ? 'Aborted' : deadline.hasExpired() ? 'Timeout' : 'Network';
      throw new KubeError(`the ConnectionNode could not be ${message.method === 'GET' ? 'read' : 'written'}`, {
        kind,
        cause: error,
      });
    }
  };
  return {
    read: async (name, { signal }) => {
      try {
        return parsed(await send({ method: 'GET', path: pathOf(name) }, signal));
      } catch (error) {
        if (isKubeError(error, 'NotFound')) return undefined;
        throw error;
      }
    },
    write: (name, status, { signal }) =>
      writeStatus(name, status, { send: (message) => send(message, signal), onLeftOut }),
    close: () => agent.destroy(),
  };
}

interface Sending {
  readonly send: (message: Message) => Promise<unknown>;
  readonly onLeftOut: (fields: readonly string[]) => void;
}

async function writeStatus(name: string, status: object, sending: Sending): Promise<void> {
  const message = applyStatus(name, status);
  const apply = (): Promise<unknown> =>
    applyDeclared(message.body, (body) => sending.send({ ...message, body }), sending.onLeftOut);
  try {
    await apply();
  } catch (error) {
    if (!isKubeError(error, 'NotFound')) throw error;
    await createIfMissing(sending.send, name);
    await apply();
  }
}

async function createIfMissing(send: (message: Message) => Promise<unknown>, name: string): Promise<void> {
  const body = { ...identity, metadata: { name } };
  const path = `${collection}?fieldManager=${agentFieldManager}`;
  try {
    await send({ method: 'POST', path, contentType: 'application/json', body });
  } catch (error) {
    if (!isKubeError(error, 'AlreadyExists')) throw error;
  }
}

interface WriteMessage {
  readonly method: 'POST' | 'PATCH';
  readonly path: string;
  readonly contentType: string;
  readonly body: object;
}
type Message = { readonly method: 'GET'; readonly path: string } | WriteMessage;

const pathOf = (name: string): string => `${collection}/${encodeURIComponent(name)}`;

function applyStatus(name: string, status: object): WriteMessage {
  return {
    method: 'PATCH',
    path: `${pathOf(name)}/status?fieldManager=${agentFieldManager}`,
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

/** One request; resolves with the body when the server took it, throws KubeError for its answer and plain errors for the network. */
async function exchange(
  endpoint: ApiEndpoint,
  message: Message,
  { agent, signal }: { readonly agent: Agent; readonly signal: AbortSignal },
): Promise<string> {
  const { server, token, ...tls } = endpoint;
  const { body, ...entity } = entityOf(message);
  const headers = { ...entity, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
  const target = new URL(server.pathname.replace(/\/$/u, '') + message.path, server);
  const response = await answerTo(target, { ...tls, agent, signal, headers, method: message.method }, body);
  const text = await textOf(response);
  const { statusCode = 0 } = response;
  if (statusCode >= 200 && statusCode < 300) return text;
  const retryAfterMs = parseRetryAfterMs(response.headers['retry-after'], Date.now());
  throw errorForStatus(statusCode, parseStatus(text), retryAfterMs);
}

interface Entity {
  readonly body: string;
  readonly 'content-type'?: string;
  readonly 'content-length'?: number;
}

function entityOf(message: Message): Entity {
  if (message.method === 'GET') return { body: '' };
  const body = JSON.stringify(message.body);
  return { body, 'content-type': message.contentType, 'content-length': Buffer.byteLength(body) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new KubeError('the ConnectionNode is not JSON', { kind: 'Malformed', cause });
  }
}

function answerTo(target: URL, options: RequestOptions, body: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request(target, options, resolve).once('error', reject).end(body);
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}
