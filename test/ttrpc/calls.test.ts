import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server as SocketServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Client } from '../../src/ttrpc/client.ts';
import { Connection } from '../../src/ttrpc/connection.ts';
import { encodeMessage } from '../../src/ttrpc/encode.ts';
import { StatusError, type TtrpcError } from '../../src/ttrpc/error.ts';
import { maxMessageBytes, MessageDecoder, type Message } from '../../src/ttrpc/message.ts';
import { FrameDecoder } from '../../src/ttrpc/mux.ts';
import { Server, type CallContext, type Handlers } from '../../src/ttrpc/server.ts';
import { Plugin, type ContainerEvent } from '../../src/nri/gen/nri_pb.ts';

const connectionId = 1;
const forever = { timeoutMs: 60_000, signal: new AbortController().signal };
const { createContainer, configure } = Plugin.method;

type CreateContainer = (event: ContainerEvent, context: CallContext) => unknown;

/** Both ends of a unix socket; what is opened in a test is closed after it. */
let folder: string;
let listener: SocketServer;
let open: Socket[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ttrpc-'));
  listener = createServer();
  open = [];
  listener.listen(join(folder, 'socket'));
  await once(listener, 'listening');
});

afterEach(async () => {
  for (const socket of open) socket.destroy();
  listener.close();
  await rm(folder, { recursive: true });
});

async function socketPair(): Promise<{ readonly near: Socket; readonly far: Socket }> {
  const near = connect(join(folder, 'socket'));
  const [far] = (await once(listener, 'connection')) as [Socket];
  open.push(near, far);
  return { near, far };
}

const notExpected = (): never => {
  throw new Error('not expected here');
};

function handlers(create: CreateContainer): Handlers<typeof Plugin> {
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

async function serve(create: CreateContainer): Promise<Served> {
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
async function callRawPeer(): Promise<{
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
async function serveRawPeer(
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

async function receive(socket: Socket, count: number): Promise<readonly Message[]> {
  const frames = new FrameDecoder();
  const decoder = new MessageDecoder();
  const received: Message[] = [];
  while (received.length < count) {
    const [chunk] = (await once(socket, 'data')) as [Uint8Array];
    for (const { bytes } of frames.fragments(chunk)) received.push(...decoder.messages(bytes));
  }
  return received;
}

const echo: CreateContainer = ({ container }) => ({ adjust: { annotations: container!.annotations } });
const withValue = (value: string) => ({ pod: {}, container: { annotations: { value } } });

describe('a call', () => {
  it('is answered, with messages of every size up to the limit', async () => {
    const { client } = await serve(echo);
    for (const size of [0, 4000, 4086, 4096, 70_000, maxMessageBytes - 200]) {
      const value = 'x'.repeat(size);
      const { adjust } = await client.call(createContainer, withValue(value), forever);
      expect(adjust?.annotations['value']?.length).toBe(size);
    }
  });

  it('does not wait for a slower one before it', async () => {
    const { promise: slowly, resolve: release } = Promise.withResolvers<Record<string, never>>();
    const answers: CreateContainer = (event) => (event.pod?.id === 'slow' ? slowly : {});
    const { client } = await serve(answers);
    const slow = client.call(createContainer, { pod: { id: 'slow' } }, forever).then(() => 'slow');
    const fast = client.call(createContainer, { pod: { id: 'fast' } }, forever).then(() => 'fast');
    await expect(Promise.race([slow, fast])).resolves.toBe('fast');
    release({});
    await expect(slow).resolves.toBe('slow');
  });

  it('finds its own answer among thousands in flight, also when the sockets are full', async () => {
    const { client } = await serve(async (event, context) => {
      await sleep(Math.random() * 5);
      return echo(event, context);
    });
    const values = Array.from({ length: 3000 }, (_, at) => `${at}-${'x'.repeat(5000)}`);
    const answers = await Promise.all(values.map((value) => client.call(createContainer, withValue(value), forever)));
    expect(answers.map(({ adjust }) => adjust?.annotations['value'])).toEqual(values);
  });

  it('rejects with the status that its handler throws', async () => {
    const { client } = await serve(() => {
      throw new StatusError(9, 'not on this node');
    });
    await expect(client.call(createContainer, {}, forever)).rejects.toMatchObject({
      kind: 'StatusReturned',
      code: 9,
      message: 'not on this node',
    });
  });

  it('rejects as internal when its handler throws anything else', async () => {
    const { client } = await serve(echo);
    await expect(client.call(configure, {}, forever)).rejects.toMatchObject({ code: 13 });
  });

  it('rejects as unimplemented when nobody serves its method', async () => {
    const { client } = await serve(echo);
    const unknown = { ...createContainer, name: 'UpdateContainer' };
    await expect(client.call(unknown, {}, forever)).rejects.toMatchObject({ code: 12 });
  });

  it('ends at its deadline on both sides', async () => {
    const { promise: aborted, resolve } = Promise.withResolvers<unknown>();
    const { client } = await serve(async (_, { signal }) => {
      await once(signal, 'abort');
      resolve(signal.reason);
      return {};
    });
    await expect(client.call(createContainer, {}, { ...forever, timeoutMs: 30 })).rejects.toMatchObject({
      kind: 'DeadlineExceeded',
    });
    await expect(aborted).resolves.toMatchObject({ kind: 'DeadlineExceeded' });
  });

  it('ends when its signal aborts, and the connection goes on', async () => {
    const { client } = await serve(echo);
    const stop = new AbortController();
    const aborted = client.call(createContainer, withValue('one'), { ...forever, signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(aborted).rejects.toMatchObject({ kind: 'Aborted', cause: { message: 'enough' } });
    await expect(client.call(createContainer, withValue('two'), forever)).resolves.toMatchObject({
      adjust: { annotations: { value: 'two' } },
    });
  });

  it('too large to be sent is refused, and the connection goes on', async () => {
    const { client } = await serve(echo);
    const tooLarge = client.call(createContainer, withValue('x'.repeat(maxMessageBytes)), forever);
    await expect(tooLarge).rejects.toMatchObject({ kind: 'MessageTooLarge' });
    await expect(client.call(createContainer, withValue('small'), forever)).resolves.toBeDefined();
  });

  it('is answered with a status when its answer is too large to be sent', async () => {
    const { client } = await serve(() => ({ adjust: { annotations: { value: 'x'.repeat(maxMessageBytes) } } }));
    await expect(client.call(createContainer, {}, forever)).rejects.toMatchObject({ code: 8 });
  });
});

describe('a connection that ends', () => {
  it('rejects every call in flight and those made afterwards, with the reason', async () => {
    const running = vi.fn();
    const { client, clientEnd, far } = await serve((_, { signal }) => {
      running();
      return once(signal, 'abort').then(() => ({}));
    });
    const inFlight = Array.from({ length: 20 }, () => client.call(createContainer, {}, forever));
    const outcomes = Promise.allSettled(inFlight);
    await vi.waitFor(() => expect(running).toHaveBeenCalledTimes(20));
    far.destroy();
    const closed = { status: 'rejected', reason: { kind: 'ConnectionClosed' } };
    expect(await outcomes).toMatchObject(Array(20).fill(closed));
    await expect(client.call(createContainer, {}, forever)).rejects.toMatchObject({ kind: 'ConnectionClosed' });
    await expect(clientEnd).resolves.toMatchObject({ kind: 'ConnectionClosed' });
  });

  it('aborts the signals of handlers', async () => {
    const { promise: entered, resolve: enter } = Promise.withResolvers<AbortSignal>();
    const { client, serverEnd, stop } = await serve((_, { signal }) => {
      enter(signal);
      return once(signal, 'abort').then(() => ({}));
    });
    const call = client.call(createContainer, {}, forever);
    const signal = await entered;
    stop.abort();
    await expect(call).rejects.toMatchObject({ kind: 'Aborted' });
    await serverEnd;
    expect(signal.aborted).toBe(true);
  });

  const overlongFrame = new Uint8Array([0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]);
  const overlongMessage = new Uint8Array([0, 0, 0, 1, 0, 0, 0, 10, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 2, 0]);
  const noResponse = new Uint8Array([0, 0, 0, 1, 0, 0, 0, 11, 0, 0, 0, 1, 0, 0, 0, 1, 2, 0, 0xff]);
  it.each([
    { kind: 'FrameTooLarge', bytes: overlongFrame },
    { kind: 'MessageTooLarge', bytes: overlongMessage },
    { kind: 'MalformedMessage', bytes: noResponse },
  ])('because of a bad peer says $kind', async ({ kind, bytes }) => {
    const { client, clientEnd, far } = await callRawPeer();
    const call = client.call(createContainer, {}, forever);
    await receive(far, 1);
    far.write(bytes);
    await expect(call).rejects.toMatchObject({ kind });
    await expect(clientEnd).resolves.toMatchObject({ kind });
    await once(far.resume(), 'close');
  });
});

describe('a server', () => {
  const request = (streamId: number, body = new Uint8Array(0)): Message => ({ streamId, type: 1, flags: 0, body });
  const code = (message: Message | undefined): number => message!.body[3]!; // Response.status.code: 0a len 08 code

  it.each([
    { what: 'an even stream id', streamIds: [2] },
    { what: 'a stream id used again', streamIds: [3, 3] },
    { what: 'a stream id that decreases', streamIds: [5, 3] },
  ])('answers $what with invalid argument', async ({ streamIds }) => {
    const exchange = await serveRawPeer(echo);
    const answers = await exchange(
      streamIds.map((id) => request(id)),
      streamIds.length,
    );
    expect(answers.at(-1)).toMatchObject({ streamId: streamIds.at(-1), type: 2, flags: 0 });
    expect(code(answers.at(-1))).toBe(3);
  });

  it.each([
    { what: 'what is no request', message: request(1, new Uint8Array([0xff])) },
    { what: 'data for a stream that it does not have', message: { ...request(1), type: 3 } },
  ])('answers $what with invalid argument', async ({ message }) => {
    const exchange = await serveRawPeer(echo);
    const [answer] = await exchange([message], 1);
    expect(code(answer)).toBe(3);
  });

  it('skips messages of a type and frames of a connection that it does not know', async () => {
    const { near, far } = await socketPair();
    const connection = new Connection(far);
    new Server(connection, connectionId, { service: Plugin, handlers: handlers(echo) }).start();
    void connection.run(forever.signal);
    for (const buffer of encodeMessage(99, request(1))) near.write(buffer);
    for (const buffer of encodeMessage(connectionId, { ...request(1), type: 9 })) near.write(buffer);
    for (const buffer of encodeMessage(connectionId, request(7))) near.write(buffer);
    await expect(receive(near, 1)).resolves.toMatchObject([{ streamId: 7 }]);
  });

  it('runs 1024 calls at once and reads on when they are answered', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<Record<string, never>>();
    const running = vi.fn(() => released);
    const { client } = await serve(running);
    const calls = Array.from({ length: 1500 }, () => client.call(createContainer, {}, forever));
    await vi.waitFor(() => expect(running).toHaveBeenCalledTimes(1024));
    await sleep(50);
    expect(running).toHaveBeenCalledTimes(1024);
    release({});
    await expect(Promise.all(calls)).resolves.toHaveLength(1500);
    expect(running).toHaveBeenCalledTimes(1500);
  });
});

describe('a sender', () => {
  it('waits for a peer that does not read, with at most one message in its buffer', async () => {
    const { near, far } = await socketPair();
    const connection = new Connection(near);
    const client = new Client(connection, connectionId);
    const ended = connection.run(forever.signal);
    const megabyte = withValue('x'.repeat(2 ** 20));
    const outcomes = Promise.allSettled(
      Array.from({ length: 50 }, () => client.call(createContainer, megabyte, forever)),
    );
    await sleep(50);
    expect(near.writableLength).toBeGreaterThan(0);
    expect(near.writableLength).toBeLessThan(2 ** 21);
    far.destroy();
    await expect(ended).resolves.toMatchObject({ kind: 'ConnectionClosed' });
    expect((await outcomes).map(({ status }) => status)).toEqual(Array(50).fill('rejected'));
  });
});

describe('an error', () => {
  it('keeps its cause', async () => {
    const { client, clientEnd, far } = await callRawPeer();
    const call = client.call(createContainer, {}, forever);
    await receive(far, 1);
    far.write(new Uint8Array([0, 0, 0, 1, 0, 0, 0, 11, 0, 0, 0, 1, 0, 0, 0, 1, 2, 0, 0xff]));
    await expect(call).rejects.toBeDefined();
    const reason = (await clientEnd) as TtrpcError;
    expect(reason.cause).toBeInstanceOf(Error);
  });
});
