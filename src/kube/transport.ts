import { Agent, type Dispatcher } from 'undici';
import type { CredentialSource, Credentials } from './credentials.ts';
import { startDeadline } from './deadline.ts';
import { isKubeError, type KubeErrorKind } from './kube-error.ts';
import { errorForAnswer, type HttpRequest, kubeErrorFor, parseBody, wireRequest } from './wire.ts';

export interface CallOptions {
  readonly signal: AbortSignal;
  /** From the call to the last byte of the answer; for a stream to its first byte. Default 10,000. */
  readonly timeoutMs?: number;
}

export interface StreamOptions extends CallOptions {
  /** The longest silence inside the body before it fails with kind Timeout. */
  readonly stallTimeoutMs: number;
}

export interface Transport {
  /** The answer's body, parsed; throws KubeError for everything else. */
  readonly send: (request: HttpRequest, options: CallOptions) => Promise<unknown>;
  /** Must be iterated, or its connection stays open until the signal fires. */
  readonly stream: (request: HttpRequest, options: StreamOptions) => Promise<AsyncIterable<Buffer>>;
  /** Ends all connections; calls under way fail. */
  readonly close: () => Promise<void>;
}

/** One call and its end. */
export interface Answered {
  readonly method: HttpRequest['method'] | 'Stream';
  readonly outcome: 'Ok' | KubeErrorKind;
  readonly seconds: number;
}

export interface TransportOptions {
  /** Connections for calls, default 2; each watch has one more of its own. */
  readonly connections?: number;
  /** For metrics. Must not throw. */
  readonly answered?: (answered: Answered) => void;
}

const defaultTimeoutMs = 10_000;
/** kube-apiserver closes idle connections after 90 s; ours must go first. */
const idleMs = 60_000;

interface Pools {
  readonly tlsKey: string;
  readonly calls: Agent;
  readonly streams: Agent;
}

function openPools(credentials: Credentials, connections: number): Pools {
  const shared = {
    // One stalled HTTP/2 connection would hold up every watch and call at once.
    allowH2: false,
    keepAliveTimeout: idleMs,
    keepAliveMaxTimeout: idleMs,
    headersTimeout: 0,
    connect: { ...credentials.tls, timeout: 5_000, keepAlive: true, keepAliveInitialDelay: 30_000 },
  };
  const calls = new Agent({ ...shared, connections, bodyTimeout: 0 });
  return { tlsKey: credentials.tlsKey, calls, streams: new Agent(shared) };
}

type Start = (request: HttpRequest, dispatch: Dispatch) => Promise<Dispatcher.ResponseData>;
interface Dispatch {
  readonly pool: 'calls' | 'streams';
  readonly signal: AbortSignal;
  readonly bodyTimeout: number;
}

export function createTransport(source: CredentialSource, options: TransportOptions = {}): Transport {
  let pools: Pools | undefined;
  /** New pools when certificates changed on disk; the old ones end when their last call and watch have. */
  const poolsFor = (credentials: Credentials): Pools => {
    if (pools?.tlsKey === credentials.tlsKey) return pools;
    for (const agent of [pools?.calls, pools?.streams]) agent?.close().catch(() => undefined);
    pools = openPools(credentials, options.connections ?? 2);
    return pools;
  };
  const start: Start = async (request, { pool, signal, bodyTimeout }) => {
    const credentials = await source.read();
    const wire = wireRequest(source.server, request, credentials);
    const answer = await poolsFor(credentials)[pool].request({ ...wire, signal, bodyTimeout });
    if (answer.statusCode < 300) return answer;
    if (answer.statusCode === 401) source.invalidate();
    throw await errorForAnswer(answer);
  };
  return {
    send: (request, call) => counted(options, request.method, sendWith(start, request, call)),
    stream: (request, call) => counted(options, 'Stream', streamWith(start, request, call)),
    close: async () => {
      await Promise.all([pools?.calls.destroy(), pools?.streams.destroy()]);
    },
  };
}

async function counted<T>({ answered }: TransportOptions, method: Answered['method'], answer: Promise<T>): Promise<T> {
  const startedMs = performance.now();
  const tell = (outcome: Answered['outcome']): void =>
    answered?.({ method, outcome, seconds: (performance.now() - startedMs) / 1000 });
  try {
    const got = await answer;
    tell('Ok');
    return got;
  } catch (error) {
    tell(isKubeError(error) ? error.kind : 'Malformed');
    throw error;
  }
}

async function sendWith(start: Start, request: HttpRequest, call: CallOptions): Promise<unknown> {
  using deadline = startDeadline(call.signal, call.timeoutMs ?? defaultTimeoutMs);
  try {
    const answer = await start(request, { pool: 'calls', signal: deadline.signal, bodyTimeout: 0 });
    return parseBody(await answer.body.text());
  } catch (error) {
    throw kubeErrorFor({ error, signal: call.signal, expired: deadline.hasExpired() });
  }
}

async function streamWith(start: Start, request: HttpRequest, call: StreamOptions): Promise<AsyncIterable<Buffer>> {
  const life = new AbortController();
  using deadline = startDeadline(call.signal, call.timeoutMs ?? defaultTimeoutMs);
  deadline.signal.addEventListener('abort', () => life.abort(deadline.signal.reason), { once: true });
  const dispatch = { pool: 'streams', signal: life.signal, bodyTimeout: call.stallTimeoutMs } as const;
  try {
    const answer = await start(request, dispatch);
    return readBody(answer.body, call.signal, life);
  } catch (error) {
    throw kubeErrorFor({ error, signal: call.signal, expired: deadline.hasExpired() });
  }
}

/** Leaving the loop over it, by break or by an error, ends the connection. */
async function* readBody(
  body: AsyncIterable<Buffer>,
  signal: AbortSignal,
  life: AbortController,
): AsyncGenerator<Buffer, void> {
  const onAbort = (): void => life.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    if (signal.aborted) onAbort();
    yield* body;
  } catch (error) {
    throw kubeErrorFor({ error, signal, expired: false });
  } finally {
    signal.removeEventListener('abort', onAbort);
    life.abort();
  }
}
