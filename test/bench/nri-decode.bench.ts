// A CreateContainer of about 8 KB, from the socket's bytes to the message that a handler gets, against parts of the same
// work: the payload alone as protobuf, and the cheapest thing to do with as many bytes. Run: node test/bench/nri-decode.bench.ts
import { fromBinary } from '@bufbuild/protobuf';
import { ContainerEventSchema } from '../../src/nri/gen/nri_pb.ts';
import { readBody, writeBody } from '../../src/ttrpc/body.ts';
import { encodeMessage } from '../../src/ttrpc/encode.ts';
import { RequestSchema } from '../../src/ttrpc/gen/ttrpc_pb.ts';
import { MessageDecoder } from '../../src/ttrpc/message.ts';
import { FrameDecoder } from '../../src/ttrpc/mux.ts';

const rounds = 15;
const messagesPerRound = 2000;
const socketChunkBytes = 65_536;

const annotations = Object.fromEntries(
  Array.from({ length: 60 }, (_, at) => [`example.com/annotation-${at}`, 'v'.repeat(105)]),
);
const payload = writeBody(ContainerEventSchema, {
  pod: { id: 'sandbox-1', name: 'gateway-0', namespace: 'messaging', annotations, ips: ['10.0.0.2'] },
  container: { id: 'container-1', podSandboxId: 'sandbox-1', name: 'gateway', labels: { app: 'gateway' } },
});
const request = { service: 'nri.pkg.api.v1alpha1.Plugin', method: 'CreateContainer', payload, timeoutNano: 1_000_000n };
const message = { streamId: 1, type: 1, flags: 0, body: writeBody(RequestSchema, request) };
const wire = Buffer.concat(encodeMessage(1, message));
const stream = Buffer.concat(Array.from({ length: messagesPerRound }, () => wire));

const contenders: Readonly<Record<string, () => number>> = {
  'fromBinary of the payload alone': decodePayloads,
  'frames, message, request and payload': decodeStream,
  'frames and message only': splitStream,
  'one copy of the bytes': () => Buffer.from(stream).length,
};

function decodePayloads(): number {
  let pods = 0;
  for (let at = 0; at < messagesPerRound; at += 1) pods += fromBinary(ContainerEventSchema, payload).pod ? 1 : 0;
  return pods;
}

function decodeStream(): number {
  let pods = 0;
  for (const body of bodies())
    pods += readBody(ContainerEventSchema, readBody(RequestSchema, body).payload).pod ? 1 : 0;
  return pods;
}

function splitStream(): number {
  return [...bodies()].length;
}

function* bodies(): Generator<Uint8Array> {
  const frames = new FrameDecoder();
  const decoder = new MessageDecoder();
  for (let at = 0; at < stream.length; at += socketChunkBytes) {
    for (const { bytes } of frames.fragments(stream.subarray(at, at + socketChunkBytes))) {
      for (const { body } of decoder.messages(bytes)) yield body;
    }
  }
}

function secondsOf(work: () => number): number {
  const start = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - start) / 1e9;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** All take turns within a round, so that a busy machine slows all of them; the first round warms up. */
function measure(): ReadonlyMap<string, number> {
  const seconds = new Map(Object.keys(contenders).map((name): [string, number[]] => [name, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const [name, work] of Object.entries(contenders)) seconds.get(name)?.push(secondsOf(work));
  }
  return new Map([...seconds].map(([name, times]) => [name, messagesPerRound / median(times.slice(1))]));
}

const perSecond = measure();
const baseline = perSecond.get('fromBinary of the payload alone') ?? 0;
process.stdout.write(`${payload.length} bytes of payload, ${wire.length} on the wire\n`);
for (const [name, rate] of perSecond) {
  process.stdout.write(
    `${name.padEnd(38)}${Math.round(rate).toString().padStart(9)} messages/s ${(rate / baseline).toFixed(2).padStart(8)} × the payload alone\n`,
  );
}
