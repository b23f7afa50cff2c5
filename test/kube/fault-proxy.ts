import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import type { Socket } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';

export interface CannedAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

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

/** `kubeconfig` is read again for each request: a server that is started anew may have another certificate. */
export async function startFaultProxy(kubeconfig: string): Promise<FaultProxy> {
  const agent = new Agent({ keepAlive: true });
  const requests: string[] = [];
  const canned: { readonly pattern: RegExp; readonly answer: CannedAnswer }[] = [];
  const watches = new Set<ServerResponse>();
  const sockets = new Set<Socket>();
  let connections = 0;
  let isDown = false;

  const forward = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const line = `${incoming.method} ${incoming.url}`;
    requests.push(line);
    const index = canned.findIndex(({ pattern }) => pattern.test(line));
    const [hit] = index === -1 ? [] : canned.splice(index, 1);
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
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    outgoing.flushHeaders();
    if (/watch=true/.test(line)) {
      watches.add(outgoing);
      outgoing.once('close', () => watches.delete(outgoing));
    }
    answer.once('error', () => outgoing.destroy());
    answer.pipe(outgoing);
    outgoing.once('unpipe', () => answer.pause());
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
