import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server as SocketServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { Client } from '../../src/ttrpc/client.ts';
import { Connection } from '../../src/ttrpc/connection.ts';
import { encodeMessage } from '../../src/ttrpc/encode.ts';
import { MessageDecoder, type Message } from '../../src/ttrpc/message.ts';
import { FrameDecoder } from '../../src/ttrpc/mux.ts';
import { Server, type CallContext, type Handlers } from '../../src/ttrpc/server.ts';
import { Plugin, type ContainerEvent } from '../../src/nri/gen/nri_pb.ts';

export const connectionId = 1;
export const forever = { timeoutMs: 60_000, signal: new AbortController().signal };

export type CreateContainer = (event: ContainerEvent, context: CallContext) => unknown;

let folder: string;
let listener: SocketServer;
let open: Socket[];

async function openListener(): Promise<void> {
  folder = await mkdtemp(join(tmpdir(), 'ttrpc-'));
  listener = createServer();
  open = [];
  listener.listen(join(folder, 'socket'));
  await once(listener, 'listening');
}

async function closeAll(): Promise<void> {
  for (const socket of open) socket.destroy();
  listener.close();
  await rm(folder, { recursive: true });
}

/** To be called by a file whose tests open sockets. */
export function closeSocketsAfterEach(): void {
  beforeEach(openListener);
  afterEach(closeAll);
}

export async function socketPair(): Promise<{ readonly near: Socket; readonly far: Socket }> {
  const near = connect(join(folder, 'socket'));
  const [far] = (await once(listener, 'connection')) as [Socket];
  open.push(near, far);
  return { near, far };
}

const notExpected = (): never => {
  throw new Error('not expected here');
};

export function handlers(create: CreateContainer): Handlers<typeof Plugin> {
  const names = Plugin.methods.map(({ localName }) => [localName, notExpected] as const);
  return { ...Object.fromEntries(names), createContainer: create } as unknown as Handlers<typeof Plugin>;
}

interface Served {
  readonly client: Client;
  readonly clientEnd: Promise<Error>;
  readonly serverEnd: Promise<Error>;
  readonly stop: AbortController;
  readonly far: Socket;
}

export async function serve(create: CreateContainer): Promise<Served> {
  const { near, far } = await socketPair();
  const stop = new AbortController();
  const serving = new Connection(far);
  new Server(serving, connectionId, { service: Plugin, handlers: handlers(create) }).start();
  const calling = new Connection(near);
  const client = new Client(calling, connectionId);
  const clientEnd = calling.run(stop.signal);
  return { client, clientEnd, serverEnd: serving.run(stop.signal), stop, far };
}

/** A client whose peer is in the hands of the test. */
export async function callRawPeer(): Promise<{
  readonly client: Client;
  readonly clientEnd: Promise<Error>;
  readonly far: Socket;
}> {
  const { near, far } = await socketPair();
  const connection = new Connection(near);
  const client = new Client(connection, connectionId);
  return { client, clientEnd: connection.run(forever.signal), far };
}

/** A server whose peer is in the hands of the test: gives the answers to what is sent. */
export async function serveRawPeer(
  create: CreateContainer,
): Promise<(messages: readonly Message[], answers: number) => Promise<readonly Message[]>> {
  const { near, far } = await socketPair();
  const connection = new Connection(far);
  new Server(connection, connectionId, { service: Plugin, handlers: handlers(create) }).start();
  void connection.run(forever.signal);
  return async (messages, answers) => {
    for (const message of messages) for (const buffer of encodeMessage(connectionId, message)) near.write(buffer);
    return receive(near, answers);
  };
}

export async function receive(socket: Socket, count: number): Promise<readonly Message[]> {
  const frames = new FrameDecoder();
  const decoder = new MessageDecoder();
  const received: Message[] = [];
  while (received.length < count) {
    const [chunk] = (await once(socket, 'data')) as [Uint8Array];
    for (const { bytes } of frames.fragments(chunk)) received.push(...decoder.messages(bytes));
  }
  return received;
}

export const echo: CreateContainer = ({ container }) => ({ adjust: { annotations: container!.annotations } });
export const withValue = (value: string) => ({ pod: {}, container: { annotations: { value } } });

export const request = (streamId: number, body = new Uint8Array(0)): Message => ({ streamId, type: 1, flags: 0, body });
export const code = (message: Message | undefined): number => message!.body[3]!; // Response.status.code: 0a len 08 code
