import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { Client } from '../../src/ttrpc/client.ts';
import { Connection } from '../../src/ttrpc/connection.ts';
import { Plugin } from '../../src/nri/gen/nri_pb.ts';
import { type TtrpcError } from '../../src/ttrpc/error.ts';
import {
  closeSocketsAfterEach,
  connectionId,
  forever,
  withValue,
  socketPair,
  serve,
  callRawPeer,
  receive,
} from './peers.ts';

const { createContainer } = Plugin.method;

closeSocketsAfterEach();

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
    expect(await outcomes).toMatchObject(inFlight.map(() => closed));
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
