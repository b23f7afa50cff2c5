import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { Connection } from '../../src/ttrpc/connection.ts';
import { Plugin } from '../../src/nri/gen/nri_pb.ts';
import { StatusError } from '../../src/ttrpc/error.ts';
import { encodeMessage } from '../../src/ttrpc/encode.ts';
import { maxMessageBytes } from '../../src/ttrpc/message.ts';
import { Server } from '../../src/ttrpc/server.ts';
import {
  closeSocketsAfterEach,
  connectionId,
  forever,
  echo,
  withValue,
  request,
  code,
  socketPair,
  serve,
  serveRawPeer,
  receive,
  handlers,
  type CreateContainer,
} from './peers.ts';

const { createContainer, configure } = Plugin.method;

closeSocketsAfterEach();

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

describe('a server', () => {
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
