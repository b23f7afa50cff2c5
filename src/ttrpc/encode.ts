import { messageHeaderBytes, requireFitting, type Message } from './message.ts';
import { frameHeaderBytes } from './mux.ts';

/**
 * The Go reader wraps each logical connection in a bufio.Reader of 4096 bytes, and its connection fails with ENOMEM when a
 * frame is larger than the buffer that it is read into. At the start of a message that is those 4096 bytes; then the body
 * is read into a buffer of its own size. So a message in one frame is up to 4096 bytes, a larger one is two frames.
 */
const largestSingleFrameBytes = 4096;

/** The bytes of a message on a connection, as buffers to be written one after the other. A large body is not copied. */
export function encodeMessage(connectionId: number, message: Message): readonly Uint8Array[] {
  requireFitting(message.body.length);
  const wholeBytes = messageHeaderBytes + message.body.length;
  return wholeBytes <= largestSingleFrameBytes ? oneFrame(connectionId, message) : twoFrames(connectionId, message);
}

function oneFrame(connectionId: number, message: Message): readonly Uint8Array[] {
  const bodyAt = frameHeaderBytes + messageHeaderBytes;
  const buffer = new Uint8Array(bodyAt + message.body.length);
  const view = new DataView(buffer.buffer);
  writeFrameHeader(view, 0, { connectionId, payloadBytes: buffer.length - frameHeaderBytes });
  writeMessageHeader(view, frameHeaderBytes, message);
  buffer.set(message.body, bodyAt);
  return [buffer];
}

function twoFrames(connectionId: number, message: Message): readonly Uint8Array[] {
  const secondAt = frameHeaderBytes + messageHeaderBytes;
  const headers = new Uint8Array(secondAt + frameHeaderBytes);
  const view = new DataView(headers.buffer);
  writeFrameHeader(view, 0, { connectionId, payloadBytes: messageHeaderBytes });
  writeMessageHeader(view, frameHeaderBytes, message);
  writeFrameHeader(view, secondAt, { connectionId, payloadBytes: message.body.length });
  return [headers, message.body];
}

interface FrameHeader {
  readonly connectionId: number;
  readonly payloadBytes: number;
}

function writeFrameHeader(view: DataView, at: number, { connectionId, payloadBytes }: FrameHeader): void {
  view.setUint32(at, connectionId);
  view.setUint32(at + 4, payloadBytes);
}

function writeMessageHeader(view: DataView, at: number, { body, streamId, type, flags }: Message): void {
  view.setUint32(at, body.length);
  view.setUint32(at + 4, streamId);
  view.setUint8(at + 8, type);
  view.setUint8(at + 9, flags);
}
