import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { readBody, writeBody } from './body.ts';
import type { Connection } from './connection.ts';
import { Deadline, rejectedBy } from './deadline.ts';
import { StatusError, TtrpcError } from './error.ts';
import { RequestSchema, ResponseSchema, type Response } from './gen/ttrpc_pb.ts';
import { messageTypes, type Message } from './message.ts';

const nanosecondsPerMillisecond = 1_000_000n;

export interface CallOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Makes unary calls on one logical connection, any number at a time. */
export class Client {
  readonly #connection: Connection;
  readonly #connectionId: number;
  readonly #inFlight = new Map<number, (response: Response) => void>();
  #nextStreamId = 1; // a client's are odd and increase

  constructor(connection: Connection, connectionId: number) {
    this.#connection = connection;
    this.#connectionId = connectionId;
    connection.receive(connectionId, (message) => this.#settle(message));
  }

  /** Rejects with a StatusError for an answer other than OK, with a TtrpcError for all that prevents an answer. */
  async call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    { timeoutMs, signal }: CallOptions,
  ): Promise<MessageShape<O>> {
    const body = envelope(method, writeBody(method.input, request), timeoutMs);
    using deadline = new Deadline(signal, timeoutMs);
    const response = await this.#exchange(body, deadline.signal).catch((error: unknown) => {
      throw asCallError(error);
    });
    if (response.status !== undefined && response.status.code !== 0) {
      throw new StatusError(response.status.code, response.status.message);
    }
    return readBody(method.output, response.payload);
  }

  async #exchange(body: Uint8Array, signal: AbortSignal): Promise<Response> {
    signal.throwIfAborted();
    const { promise, resolve } = Promise.withResolvers<Response>();
    const streamId = this.#nextStreamId;
    this.#nextStreamId += 2;
    this.#inFlight.set(streamId, resolve);
    using ended = new Deadline(this.#connection.ended, undefined);
    const sent = this.#connection.send(this.#connectionId, { streamId, type: messageTypes.request, flags: 0, body });
    try {
      return await Promise.race([sent.then(() => promise), rejectedBy(signal), rejectedBy(ended.signal)]);
    } finally {
      this.#inFlight.delete(streamId);
    }
  }

  /** An answer that nobody waits for any more, or that is none, is dropped. */
  #settle(message: Message): undefined {
    const settle = this.#inFlight.get(message.streamId);
    if (message.type === messageTypes.response) settle?.(readBody(ResponseSchema, message.body));
  }
}

function envelope(method: DescMethodUnary, payload: Uint8Array, timeoutMs: number): Uint8Array {
  const timeoutNano = BigInt(Math.ceil(timeoutMs)) * nanosecondsPerMillisecond;
  return writeBody(RequestSchema, { service: method.parent.typeName, method: method.name, payload, timeoutNano });
}

function asCallError(error: unknown): TtrpcError {
  if (error instanceof TtrpcError) return error;
  return new TtrpcError('Aborted', 'the call was given up', { cause: error });
}
