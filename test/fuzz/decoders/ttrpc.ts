import type { DescMessage } from '@bufbuild/protobuf';
import { isDeepStrictEqual } from 'node:util';
import {
  ConfigureRequestSchema,
  ContainerEventSchema,
  PodEventSchema,
  StateChangeEventSchema,
  SynchronizeRequestSchema,
} from '../../../src/nri/gen/nri_pb.ts';
import { readBody, writeBody } from '../../../src/ttrpc/body.ts';
import { encodeMessage } from '../../../src/ttrpc/encode.ts';
import { TtrpcError } from '../../../src/ttrpc/error.ts';
import { RequestSchema, ResponseSchema } from '../../../src/ttrpc/gen/ttrpc_pb.ts';
import { type Message, MessageDecoder, messageTypes } from '../../../src/ttrpc/message.ts';
import { FrameDecoder } from '../../../src/ttrpc/mux.ts';
import { handshake } from '../../nri/handshake.ts';
import { chunksOf, type Decoder, requireTrue, unlessRefused } from '../decoder.ts';

const isTtrpcError = (error: unknown): boolean => error instanceof TtrpcError;

interface Received extends Message {
  readonly connectionId: number;
}

interface Heard {
  readonly messages: readonly Received[];
  readonly endedBy: string | undefined;
}

/** As a connection does: one decoder of frames, and one of messages for each connection that somebody receives. */
function* received(chunks: Iterable<Uint8Array>): Generator<Received, void, undefined> {
  const frames = new FrameDecoder();
  const decoders = new Map([1, 2].map((id) => [id, new MessageDecoder()]));
  for (const chunk of chunks) {
    for (const { connectionId, bytes } of frames.fragments(chunk)) {
      const messages = decoders.get(connectionId)?.messages(bytes) ?? [];
      for (const message of messages) yield { ...message, connectionId, body: Buffer.from(message.body) };
    }
  }
}

const hear = (chunks: Iterable<Uint8Array>): Heard => {
  const messages: Received[] = [];
  try {
    for (const message of received(chunks)) messages.push(message);
  } catch (error) {
    if (!(error instanceof TtrpcError)) throw error;
    return { messages, endedBy: error.kind };
  }
  return { messages, endedBy: undefined };
};

const frames: Decoder = {
  name: 'ttrpc-frames',
  seeds: [...handshake.map(({ bytes }) => bytes), Buffer.concat(handshake.map(({ bytes }) => bytes))],
  check: (input) => {
    const whole = hear([input]);
    requireTrue(isDeepStrictEqual(hear(chunksOf(input)), whole), 'chunks mean nothing');
    const bodyBytes = whole.messages.reduce((sum, { body }) => sum + body.length, 0);
    requireTrue(bodyBytes <= input.length, 'no more comes out than went in');
    const again = hear(whole.messages.flatMap((message) => encodeMessage(message.connectionId, message)));
    requireTrue(isDeepStrictEqual(again.messages, whole.messages), 'what was heard can be said');
  },
};

const heard = handshake.flatMap(({ bytes }) => hear([bytes]).messages);
const bodies = heard.map(({ body }) => body);
const requests = heard.filter(({ type }) => type === messageTypes.request).map(({ body }) => body);
const payloads = requests.map((body) => readBody(RequestSchema, body).payload);

const schemas: readonly DescMessage[] = [
  RequestSchema,
  ResponseSchema,
  ConfigureRequestSchema,
  SynchronizeRequestSchema,
  PodEventSchema,
  ContainerEventSchema,
  StateChangeEventSchema,
];

const messages: Decoder = {
  name: 'nri-messages',
  seeds: [...bodies, ...payloads],
  words: ['\u000a\u00ff\u00ff\u00ff\u00ff\u000f', '\u000b'.repeat(2000), '__proto__'],
  check: (input) => {
    for (const schema of schemas) {
      const read = unlessRefused(isTtrpcError, () => readBody(schema, input));
      if (read === undefined) continue;
      const written = writeBody(schema, read);
      const again = writeBody(schema, readBody(schema, written));
      requireTrue(Buffer.compare(again, written) === 0, `a ${schema.name} that was read can be written`);
    }
  },
};

export const ttrpcDecoders: readonly Decoder[] = [frames, messages];
