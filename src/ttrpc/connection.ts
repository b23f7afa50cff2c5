import { once } from 'node:events';
import type { Socket } from 'node:net';
import { encodeMessage } from './encode.ts';
import { TtrpcError } from './error.ts';
import { MessageDecoder, type Message } from './message.ts';
import { FrameDecoder } from './mux.ts';

/** Takes a message; a promise holds back everything after it on the socket until it is settled. */
export type Receiver = (message: Message) => Promise<void> | undefined;

interface Inbox {
  readonly decoder: MessageDecoder;
  readonly receiver: Receiver;
}

/** A socket with several logical connections. Whatever breaks the protocol ends all of it. */
export class Connection {
  readonly #socket: Socket;
  readonly #frames = new FrameDecoder();
  readonly #inboxes = new Map<number, Inbox>();
  readonly #ending = new AbortController();
  #lastWrite: Promise<void> = Promise.resolve();

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', (cause) => this.end(asEndReason(cause)));
  }

  /** Aborts when the connection ends; the reason is an Error that says why. */
  get ended(): AbortSignal {
    return this.#ending.signal;
  }

  /** To be called before run. Frames of an id that nobody receives are skipped, as the Go side does. */
  receive(connectionId: number, receiver: Receiver): void {
    this.#inboxes.set(connectionId, { decoder: new MessageDecoder(), receiver });
  }

  /** Reads until the connection ends or the signal aborts; gives the reason and never rejects. */
  async run(signal: AbortSignal): Promise<Error> {
    const stop = (): void =>
      this.end(new TtrpcError('Aborted', 'the connection was given up', { cause: signal.reason }));
    signal.addEventListener('abort', stop, { once: true, signal: this.ended });
    if (signal.aborted) stop();
    try {
      for await (const chunk of this.#socket) await this.#accept(chunk);
      this.end(new TtrpcError('ConnectionClosed', 'the peer closed the connection'));
    } catch (error) {
      this.end(asEndReason(error));
    }
    return this.ended.reason;
  }

  /** Resolves when the message is handed to the kernel or to a socket buffer with room; messages keep their order. */
  send(connectionId: number, message: Message): Promise<void> {
    const written = this.#lastWrite.then(() => this.#write(connectionId, message));
    this.#lastWrite = written.catch(() => undefined);
    return written;
  }

  end(reason: Error): void {
    if (this.ended.aborted) return;
    this.#ending.abort(reason);
    this.#socket.destroy();
  }

  async #accept(chunk: Uint8Array): Promise<void> {
    for (const { connectionId, bytes } of this.#frames.fragments(chunk)) {
      const inbox = this.#inboxes.get(connectionId);
      for (const message of inbox?.decoder.messages(bytes) ?? []) await inbox?.receiver(message);
    }
  }

  async #write(connectionId: number, message: Message): Promise<void> {
    const buffers = encodeMessage(connectionId, message);
    if (this.#socket.writableNeedDrain)
      await once(this.#socket, 'drain', { signal: this.ended }).catch(() => undefined);
    this.ended.throwIfAborted();
    this.#socket.cork();
    for (const buffer of buffers) this.#socket.write(buffer);
    this.#socket.uncork();
  }
}

function asEndReason(error: unknown): Error {
  return error instanceof TtrpcError
    ? error
    : new TtrpcError('ConnectionClosed', 'the socket failed', { cause: error });
}
