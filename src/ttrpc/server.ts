import type { DescMessage, DescMethod, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { readBody, writeBody } from './body.ts';
import type { Connection } from './connection.ts';
import { Deadline } from './deadline.ts';
import { StatusError, statusCodes, TtrpcError, type TtrpcErrorKind } from './error.ts';
import { RequestSchema, ResponseSchema, type Request } from './gen/ttrpc_pb.ts';
import { messageTypes, type Message } from './message.ts';

const nanosecondsPerMillisecond = 1_000_000;

/** A request that is none, or an answer too large to be sent, fails its call only. */
const codeOfKind: Partial<Record<TtrpcErrorKind, number>> = {
  MalformedMessage: statusCodes.invalidArgument,
  MessageTooLarge: statusCodes.resourceExhausted,
};

/** Calls that run at once; beyond it the socket is not read until one is answered. */
const maxCallsInFlight = 1024;

export interface CallContext {
  /** How long the caller waits; undefined: for ever. */
  readonly timeoutMs: number | undefined;
  /** Aborts when the caller no longer waits: its time is over or the connection ended. */
  readonly signal: AbortSignal;
}

type UnaryHandler<I extends DescMessage, O extends DescMessage> = (
  request: MessageShape<I>,
  context: CallContext,
) => MessageInitShape<O> | Promise<MessageInitShape<O>>;

/** A handler for each method; a StatusError is answered as it is, anything else thrown as internal. */
export type Handlers<S extends Pick<DescService, 'method'>> = {
  readonly [Name in keyof S['method']]: UnaryHandler<S['method'][Name]['input'], S['method'][Name]['output']>;
};

interface Served {
  readonly method: DescMethod;
  readonly handler: UnaryHandler<DescMessage, DescMessage>;
}

/** Serves one service on one logical connection; calls run concurrently and are answered as they finish. */
export class Server<S extends DescService> {
  readonly #connection: Connection;
  readonly #connectionId: number;
  readonly #methods: ReadonlyMap<string, Served>;
  readonly #inFlight = new Set<Promise<void>>();
  #lastStreamId = 0;

  constructor(
    connection: Connection,
    connectionId: number,
    served: { readonly service: S; readonly handlers: Handlers<S> },
  ) {
    this.#connection = connection;
    this.#connectionId = connectionId;
    this.#methods = methodsOf(served.service, served.handlers);
  }

  /** Takes calls from now on; to be called before the connection runs. */
  start(): void {
    this.#connection.receive(this.#connectionId, (message) => this.#accept(message));
  }

  #accept(message: Message): Promise<void> | undefined {
    if (message.type !== messageTypes.request && message.type !== messageTypes.data) return undefined;
    const call = this.#answer(message).finally(() => this.#inFlight.delete(call));
    this.#inFlight.add(call);
    return this.#inFlight.size < maxCallsInFlight ? undefined : Promise.race(this.#inFlight);
  }

  async #answer(message: Message): Promise<void> {
    const body = await this.#perform(message).catch(failureBody);
    const response = { streamId: message.streamId, type: messageTypes.response, flags: 0 };
    const send = (answer: Uint8Array): Promise<void> =>
      this.#connection.send(this.#connectionId, { ...response, body: answer });
    // What cannot be sent because the connection ended has nobody to be reported to: whoever runs it knows.
    await send(body).catch((error: unknown) => send(failureBody(error)).catch(() => undefined));
  }

  async #perform(message: Message): Promise<Uint8Array> {
    this.#requireNewStream(message);
    const request = readBody(RequestSchema, message.body);
    const { method, handler } = this.#find(request);
    const timeoutMs = timeoutMsOf(request);
    using deadline = new Deadline(this.#connection.ended, timeoutMs);
    const output = await handler(readBody(method.input, request.payload), { timeoutMs, signal: deadline.signal });
    return writeBody(ResponseSchema, { payload: writeBody(method.output, output) });
  }

  #requireNewStream({ streamId, type }: Message): void {
    if (type === messageTypes.data) throw new StatusError(statusCodes.invalidArgument, 'the stream is not active');
    if (streamId % 2 === 0) throw new StatusError(statusCodes.invalidArgument, 'a client must use odd stream ids');
    if (streamId <= this.#lastStreamId) throw new StatusError(statusCodes.invalidArgument, 'stream ids must increase');
    this.#lastStreamId = streamId;
  }

  #find({ service, method }: Request): Served {
    const served = this.#methods.get(`${service}/${method}`);
    if (served === undefined)
      throw new StatusError(statusCodes.unimplemented, `${service}/${method} is not implemented`);
    return served;
  }
}

function methodsOf<S extends DescService>(service: S, handlers: Handlers<S>): ReadonlyMap<string, Served> {
  const byName = new Map(Object.entries<UnaryHandler<DescMessage, DescMessage>>(handlers));
  const entries = service.methods.flatMap((method): (readonly [string, Served])[] => {
    const handler = byName.get(method.localName);
    return handler === undefined ? [] : [[`${service.typeName}/${method.name}`, { method, handler }]];
  });
  return new Map(entries);
}

function timeoutMsOf({ timeoutNano }: Request): number | undefined {
  return timeoutNano > 0n ? Number(timeoutNano) / nanosecondsPerMillisecond : undefined;
}

function failureBody(error: unknown): Uint8Array {
  return writeBody(ResponseSchema, { status: statusFor(error) });
}

function statusFor(error: unknown): { readonly code: number; readonly message: string } {
  if (error instanceof StatusError) return { code: error.code, message: error.message };
  const code = (error instanceof TtrpcError && codeOfKind[error.kind]) || statusCodes.internal;
  return { code, message: error instanceof Error ? error.message : 'the handler failed' };
}
