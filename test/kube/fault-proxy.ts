import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import type { Socket } from 'node:net';
import { type Readable, Transform, type Writable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';

export interface CannedAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What becomes of a piece of an answer on its way: whole, half of it, other bytes. */
export type Garbling = (chunk: Buffer) => Buffer;

/** Stands before a real API server, passes everything on, and breaks what it is told to break. */
export interface FaultProxy {
  readonly config: KubeConfig;
  /** Method, path and query of every request so far. */
  readonly requests: string[];
  /** TCP connections accepted so far. */
  readonly connections: () => number;
  readonly openWatches: () => number;
  /** Answers the next request whose "METHOD path?query" matches, instead of the server. */
  readonly answerNext: (pattern: RegExp, answer: CannedAnswer) => void;
  /** Writes into every open watch between two of the server's chunks. */
  readonly inject: (text: string) => void;
  /** Changes what comes next through every open watch. */
  readonly garble: (garbling: Garbling) => void;
  /** Changes the answers to the next request whose "METHOD path?query" matches, piece by piece; to a watch all of it. */
  readonly garbleNext: (pattern: RegExp, garbling: Garbling) => void;
  /** From now on each request, and each piece of an answer, comes so much later. */
  readonly setDelayMs: (delayMs: number) => void;
  /** Resets the connection of every open watch. */
  readonly cut: () => void;
  /** Open watches stay open, but nothing comes through any more. New ones are not concerned. */
  readonly stall: () => void;
  /** Refuses all connections until told otherwise. */
  readonly setDown: (isDown: boolean) => void;
  readonly close: () => Promise<void>;
}

interface Upstream {
  readonly server: URL;
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

const bytes = (text: string): Buffer => Buffer.from(text, 'base64');

async function readUpstream(kubeconfig: string): Promise<Upstream> {
  const { clusters, users } = parse(await readFile(kubeconfig, 'utf8'));
  return {
    server: new URL(clusters[0].cluster.server),
    ca: bytes(clusters[0].cluster['certificate-authority-data']),
    cert: bytes(users[0].user['client-certificate-data']),
    key: bytes(users[0].user['client-key-data']),
  };
}

interface Meddling {
  readonly delayMs: () => number;
  readonly garbling: () => Garbling;
}

/** A piece at a time, each as late and as changed as it is told to be. */
function passOn(from: Readable, to: Writable, { delayMs, garbling }: Meddling): void {
  const meddle = (chunk: Buffer, _encoding: unknown, done: (error: null, chunk: Buffer) => void): void => {
    if (delayMs() === 0) done(null, garbling()(chunk));
    else setTimeout(() => done(null, garbling()(chunk)), delayMs());
  };
  from.pipe(new Transform({ transform: meddle })).pipe(to);
}

const whole: Garbling = (chunk) => chunk;

/** Takes the first of the list that is for this request, so that it is for no other. */
function takeFor<T extends { readonly pattern: RegExp }>(list: T[], line: string): T | undefined {
  const index = list.findIndex(({ pattern }) => pattern.test(line));
  return index === -1 ? undefined : list.splice(index, 1)[0];
}

/** `kubeconfig` is read again for each request: a server that is started anew may have another certificate. */
export async function startFaultProxy(kubeconfig: string): Promise<FaultProxy> {
  const agent = new Agent({ keepAlive: true });
  const requests: string[] = [];
  const canned: { readonly pattern: RegExp; readonly answer: CannedAnswer }[] = [];
  const garblings: { readonly pattern: RegExp; readonly garbling: Garbling }[] = [];
  const watches = new Set<ServerResponse>();
  const nextGarblings = new Map<ServerResponse, Garbling>();
  const sockets = new Set<Socket>();
  let connections = 0;
  let isDown = false;
  let delayMs = 0;

  const forward = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const line = `${incoming.method} ${incoming.url}`;
    requests.push(line);
    if (delayMs > 0) await pause(delayMs);
    const hit = takeFor(canned, line);
    if (hit !== undefined) {
      incoming.resume();
      outgoing.writeHead(hit.answer.status, hit.answer.headers).end(hit.answer.body);
      return;
    }
    const { server, ...tls } = await readUpstream(kubeconfig);
    const { host: _host, ...headers } = incoming.headers;
    const sent = request(new URL(incoming.url ?? '/', server), { ...tls, agent, headers, method: incoming.method });
    sent.once('error', () => outgoing.destroy());
    outgoing.once('close', () => sent.destroy());
    incoming.pipe(sent);
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    const always = takeFor(garblings, line)?.garbling;
    if (always !== undefined) delete answer.headers['content-length'];
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    outgoing.flushHeaders();
    if (/watch=true/.test(line)) {
      watches.add(outgoing);
      outgoing.once('close', () => {
        watches.delete(outgoing);
        nextGarblings.delete(outgoing);
      });
    }
    answer.once('error', () => outgoing.destroy());
    const garbling = (): Garbling => {
      const next = always ?? nextGarblings.get(outgoing) ?? whole;
      nextGarblings.delete(outgoing);
      return next;
    };
    passOn(answer, outgoing, { delayMs: () => delayMs, garbling });
  };

  const server = createServer((incoming, outgoing) => {
    forward(incoming, outgoing).catch(() => outgoing.destroy());
  });
  server.on('connection', (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    if (isDown) socket.resetAndDestroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');

  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: 'proxy', server: `http://127.0.0.1:${address.port}`, skipTLSVerify: true },
    { name: 'proxy' },
  );
  return {
    config,
    requests,
    connections: () => connections,
    openWatches: () => watches.size,
    answerNext: (pattern, answer) => canned.push({ pattern, answer }),
    inject: (text) => watches.forEach((watch) => watch.write(text)),
    garble: (garbling) => watches.forEach((watch) => nextGarblings.set(watch, garbling)),
    garbleNext: (pattern, garbling) => garblings.push({ pattern, garbling }),
    setDelayMs: (ms) => {
      delayMs = ms;
    },
    cut: () => watches.forEach((watch) => watch.socket?.resetAndDestroy()),
    stall: () => {
      for (const watch of watches) watch.write = () => true;
      watches.clear();
    },
    setDown: (down) => {
      isDown = down;
      if (down) sockets.forEach((socket) => socket.resetAndDestroy());
    },
    close: async () => {
      agent.destroy();
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
