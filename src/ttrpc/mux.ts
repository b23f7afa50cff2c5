import { Collector } from './collector.ts';
import { TtrpcError } from './error.ts';
import { maxMessageBytes, messageHeaderBytes } from './message.ts';

/**
 * Frames of several logical connections on one socket (containerd/nri pkg/net/multiplex), all big-endian:
 *
 *   u32 connection id │ u32 payload bytes │ payload
 *
 * The payloads of one id are one byte stream; where frames begin and end means nothing in it.
 */
export const frameHeaderBytes = 8;
export const maxFramePayloadBytes = messageHeaderBytes + maxMessageBytes;

export interface Fragment {
  readonly connectionId: number;
  readonly bytes: Uint8Array;
}

/** Splits a socket's chunks by connection. Payloads are passed on as views as they come, so nothing is allocated. */
export class FrameDecoder {
  #header = new Collector(frameHeaderBytes);
  #connectionId = 0;
  #payloadMissing = 0;

  *fragments(chunk: Uint8Array): Generator<Fragment, void, undefined> {
    let rest = chunk;
    while (rest.length > 0) {
      const inPayload = this.#payloadMissing > 0;
      const bytes = rest.subarray(0, inPayload ? this.#payloadMissing : this.#header.missing);
      rest = rest.subarray(bytes.length);
      if (inPayload) yield this.#fragment(bytes);
      else this.#readHeader(bytes);
    }
  }

  #fragment(bytes: Uint8Array): Fragment {
    this.#payloadMissing -= bytes.length;
    return { connectionId: this.#connectionId, bytes };
  }

  #readHeader(piece: Uint8Array): void {
    const header = this.#header.take(piece);
    if (header === undefined) return;
    const view = new DataView(header.buffer, header.byteOffset, frameHeaderBytes);
    const payloadBytes = view.getUint32(4);
    if (payloadBytes > maxFramePayloadBytes) {
      throw new TtrpcError('FrameTooLarge', `a frame of ${payloadBytes} bytes exceeds ${maxFramePayloadBytes}`);
    }
    this.#connectionId = view.getUint32(0);
    this.#payloadMissing = payloadBytes;
    this.#header = new Collector(frameHeaderBytes);
  }
}
