import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeMessage } from '../../src/ttrpc/encode.ts';
import { TtrpcError } from '../../src/ttrpc/error.ts';
import { maxMessageBytes, MessageDecoder, messageHeaderBytes, type Message } from '../../src/ttrpc/message.ts';
import { FrameDecoder, frameHeaderBytes, maxFramePayloadBytes } from '../../src/ttrpc/mux.ts';

const connectionId = 1;

interface Received extends Message {
  readonly connectionId: number;
}

/** Decodes a socket's chunks as a connection does: one frame decoder, one message decoder per connection id. */
function decode(chunks: Iterable<Uint8Array>): readonly Received[] {
  const frames = new FrameDecoder();
  const decoders = new Map<number, MessageDecoder>();
  const received: Received[] = [];
  for (const chunk of chunks) {
    for (const fragment of frames.fragments(chunk)) {
      const decoder = decoders.get(fragment.connectionId) ?? new MessageDecoder();
      decoders.set(fragment.connectionId, decoder);
      const { connectionId: id } = fragment;
      for (const message of decoder.messages(fragment.bytes)) {
        received.push({ ...message, connectionId: id, body: new Uint8Array(message.body) });
      }
    }
  }
  return received;
}

function chunksOf(bytes: Uint8Array, sizes: readonly number[]): readonly Uint8Array[] {
  let rest = bytes;
  const chunks = sizes.map((size) => {
    const chunk = rest.subarray(0, size);
    rest = rest.subarray(size);
    return chunk;
  });
  return [...chunks, rest];
}

function frame(id: number, payload: Uint8Array): Uint8Array {
  const header = Buffer.alloc(frameHeaderBytes);
  header.writeUInt32BE(id, 0);
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

function messageHeader(bodyBytes: number, streamId = 1): Uint8Array {
  const header = Buffer.alloc(messageHeaderBytes);
  header.writeUInt32BE(bodyBytes, 0);
  header.writeUInt32BE(streamId, 4);
  header.writeUInt8(1, 8);
  return header;
}

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const byte = fc.integer({ min: 0, max: 255 });
const anyMessage: fc.Arbitrary<Received> = fc.record({
  connectionId: fc.constantFrom(1, 2, 7),
  streamId: u32,
  type: byte,
  flags: byte,
  body: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 4000, maxLength: 5000 })),
});
const anySizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 6000 })));

function sizesOfFrames(buffers: readonly Uint8Array[]): readonly number[] {
  const frames = new FrameDecoder();
  return [...frames.fragments(Buffer.concat(buffers))].map(({ bytes }) => bytes.length);
}

function thrownBy(act: () => unknown): unknown {
  try {
    act();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('frames and messages', () => {
  it('survive any chunking', () => {
    fc.assert(
      fc.property(fc.array(anyMessage, { maxLength: 6 }), anySizes, (messages, sizes) => {
        const bytes = Buffer.concat(messages.flatMap((message) => encodeMessage(message.connectionId, message)));
        expect(decode(chunksOf(bytes, sizes))).toEqual(messages);
      }),
    );
  });

  it('are put together per connection when their frames are cut and interleaved anywhere', () => {
    const body = fc.uint8Array({ minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(body, body, fc.integer({ min: 1, max: 9 }), (one, two, cut) => {
        const streams = [one, two].map((part) => Buffer.concat([messageHeader(part.length), part]));
        const [first, second] = streams.map((stream) => chunksOf(stream, Array(8).fill(cut)));
        const interleaved = first!.flatMap((piece, at) => [frame(1, piece), frame(2, second![at]!)]);
        expect(decode(interleaved).toSorted((a, b) => a.connectionId - b.connectionId)).toMatchObject([
          { connectionId: 1, body: one },
          { connectionId: 2, body: two },
        ]);
      }),
    );
  });

  it('throw nothing but protocol errors at garbage, wherever it is cut', () => {
    const kinds = new Set(['FrameTooLarge', 'MessageTooLarge', undefined]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), anySizes, (garbage, sizes) => {
        const error = thrownBy(() => decode(chunksOf(garbage, sizes)));
        expect([TtrpcError, Object]).toContain((error ?? {}).constructor);
        expect(kinds).toContain((error as TtrpcError | undefined)?.kind);
      }),
    );
  });

  it('may be as large as the limit', () => {
    const body = new Uint8Array(maxMessageBytes).fill(7);
    const bytes = encodeMessage(connectionId, { streamId: 1, type: 1, flags: 0, body });
    expect(decode(bytes)).toEqual([{ connectionId, streamId: 1, type: 1, flags: 0, body }]);
  });

  it('are refused by their declared length, before anything is allocated for them', () => {
    const allocatedBefore = process.memoryUsage().arrayBuffers;
    const attempts = Array.from({ length: 2000 }, (_, extra) => {
      const header = messageHeader(2 ** 32 - 1 - extra);
      return thrownBy(() => decode([frame(1, header)]));
    });
    expect(new Set(attempts.map((error) => (error as TtrpcError).kind))).toEqual(new Set(['MessageTooLarge']));
    expect(process.memoryUsage().arrayBuffers - allocatedBefore).toBeLessThan(maxMessageBytes);
  });

  it.each([
    { what: 'a frame', kind: 'FrameTooLarge', bytes: frameOf(maxFramePayloadBytes + 1) },
    { what: 'a message', kind: 'MessageTooLarge', bytes: frame(1, messageHeader(maxMessageBytes + 1)) },
  ])('are refused one byte above the limit: $what', ({ kind, bytes }) => {
    expect(thrownBy(() => decode([bytes]))).toMatchObject({ kind });
  });

  it.each([maxFramePayloadBytes, 0])('are not refused at the limit: a frame of %i bytes', (payloadBytes) => {
    expect(decode([frameOf(payloadBytes)])).toEqual([]);
  });

  it('pass on payloads as views of the chunk that they came in', () => {
    const chunk = frame(1, new Uint8Array(100));
    const [fragment] = [...new FrameDecoder().fragments(chunk)];
    expect(fragment!.bytes.buffer).toBe(chunk.buffer);
  });
});

function frameOf(payloadBytes: number): Uint8Array {
  const header = Buffer.alloc(frameHeaderBytes);
  header.writeUInt32BE(1, 0);
  header.writeUInt32BE(payloadBytes, 4);
  return header;
}

describe('an encoded message', () => {
  it.each([
    { bodyBytes: 0, frames: [10] },
    { bodyBytes: 4086, frames: [4096] }, // 4096, what the Go reader takes at the start of a message, - 10
    { bodyBytes: 4087, frames: [10, 4087] },
    { bodyBytes: maxMessageBytes, frames: [10, maxMessageBytes] },
  ])('of $bodyBytes bytes is in frames that the Go reader can take', ({ bodyBytes, frames }) => {
    const body = new Uint8Array(bodyBytes);
    const buffers = encodeMessage(connectionId, { streamId: 1, type: 2, flags: 0, body });
    expect(sizesOfFrames(buffers)).toEqual(frames);
  });

  it('does not copy a large body', () => {
    const body = new Uint8Array(100_000);
    expect(encodeMessage(connectionId, { streamId: 1, type: 2, flags: 0, body })).toContain(body);
  });

  it('is refused above the limit', () => {
    const body = new Uint8Array(maxMessageBytes + 1);
    const error = thrownBy(() => encodeMessage(connectionId, { streamId: 1, type: 2, flags: 0, body }));
    expect(error).toMatchObject({ kind: 'MessageTooLarge' });
  });
});
