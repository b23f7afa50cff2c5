import { Collector } from './collector.ts';
import { TtrpcError } from './error.ts';

/**
 * A message of ttrpc (containerd/ttrpc PROTOCOL.md, version 1.2), all big-endian:
 *
 *   u32 body bytes │ u32 stream id │ u8 type │ u8 flags │ body
 */
export const messageHeaderBytes = 10;
export const maxMessageBytes = 4 * 1024 * 1024;

export const messageTypes = { request: 1, response: 2, data: 3 } as const;

interface Header {
  readonly streamId: number;
  readonly type: number;
  readonly flags: number;
}

export interface Message extends Header {
  readonly body: Uint8Array;
}

const noBody = new Uint8Array(0);

/** Puts messages together from the byte stream of one connection, cut anywhere. A body is allocated after its check. */
export class MessageDecoder {
  #header: Header | undefined;
  #collector = new Collector(messageHeaderBytes);

  *messages(bytes: Uint8Array): Generator<Message, void, undefined> {
    let rest = bytes;
    while (rest.length > 0) {
      const piece = rest.subarray(0, this.#collector.missing);
      rest = rest.subarray(piece.length);
      const collected = this.#collector.take(piece);
      const message = collected && this.#advance(collected);
      if (message !== undefined) yield message;
    }
  }

  #advance(collected: Uint8Array): Message | undefined {
    const header = this.#header;
    if (header !== undefined) return this.#finish(header, collected);
    const { bodyBytes, ...next } = parseHeader(collected);
    if (bodyBytes === 0) return this.#finish(next, noBody);
    this.#header = next;
    this.#collector = new Collector(bodyBytes);
    return undefined;
  }

  #finish(header: Header, body: Uint8Array): Message {
    this.#header = undefined;
    this.#collector = new Collector(messageHeaderBytes);
    return { ...header, body };
  }
}

function parseHeader(bytes: Uint8Array): Header & { readonly bodyBytes: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, messageHeaderBytes);
  const bodyBytes = view.getUint32(0);
  requireFitting(bodyBytes);
  return { bodyBytes, streamId: view.getUint32(4), type: view.getUint8(8), flags: view.getUint8(9) };
}

export function requireFitting(bodyBytes: number): void {
  if (bodyBytes <= maxMessageBytes) return;
  throw new TtrpcError('MessageTooLarge', `a message of ${bodyBytes} bytes exceeds ${maxMessageBytes}`);
}
