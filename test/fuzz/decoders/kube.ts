import { isUtf8 } from 'node:buffer';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { errorForStatus, KubeError, parseRetryAfterMs, parseStatus } from '../../../src/kube/kube-error.ts';
import { fromServer } from '../../../src/kube/from-server.ts';
import type { Lease } from '../../../src/kube/resources.ts';
import { claimed, freeInMs, observe, released } from '../../../src/kube/lease-record.ts';
import { createLineDecoder } from '../../../src/kube/line-decoder.ts';
import { createListDecoder } from '../../../src/kube/list-decoder.ts';
import { pageOf } from '../../../src/kube/requests.ts';
import { parseWatchEvent } from '../../../src/kube/watch-event.ts';
import { parseBody } from '../../../src/kube/wire.ts';
import { chunksOf, type Decoder, jsonOf, requireTrue, unlessRefused } from '../decoder.ts';

const isKubeError = (error: unknown): boolean => error instanceof KubeError;

const pod = {
  metadata: { name: 'gateway-0', namespace: 'messaging', uid: 'u1', resourceVersion: '7', labels: { app: 'gateway' } },
  spec: { containers: [{ name: 'gateway', args: ['{"items":[{}]}', ']'] }] },
};

const lines: Decoder = {
  name: 'watch-lines',
  seeds: [`${JSON.stringify({ type: 'ADDED', object: pod })}\n`.repeat(3), '\n\n', 'ä🔑\nü'],
  check: (input) => {
    const decoder = createLineDecoder(1024 * 1024);
    const read = unlessRefused(isKubeError, () => chunksOf(input).flatMap((chunk) => [...decoder.push(chunk)]));
    const written = input
      .toString('latin1')
      .split('\n')
      .map((line) => Buffer.from(line, 'latin1'));
    const last = written.pop() ?? Buffer.alloc(0);
    requireTrue((read === undefined) === !written.every(isUtf8), 'what is not UTF-8 is refused, and nothing else');
    if (read === undefined) return;
    const expected = written.map((line) => line.toString('utf8'));
    requireTrue(isDeepStrictEqual(read, expected), 'lines are what stands between newlines');
    requireTrue(decoder.pendingBytes() === last.length, 'the rest is kept');
  },
};

interface List {
  readonly items: readonly unknown[];
  readonly rest: unknown;
}

const decodedList = (chunks: readonly Buffer[]): List => {
  const decoder = createListDecoder(1024 * 1024);
  const items = chunks.flatMap((chunk) => [...decoder.push(chunk)]).map(parseBody);
  return { items, rest: parseBody(decoder.rest()) };
};

/** What is nested too deeply to be compared is too deep to be written, and is no object of Kubernetes. */
const isSame = (a: unknown, b: unknown): boolean => {
  try {
    return JSON.stringify(a) === JSON.stringify(b);
  } catch (error) {
    return error instanceof RangeError;
  }
};

const isFields = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const list: Decoder = {
  name: 'list',
  seeds: [
    JSON.stringify({ kind: 'PodList', metadata: { resourceVersion: '9', continue: 'x' }, items: [pod, pod] }),
    JSON.stringify({ items: [pod], metadata: { resourceVersion: '9' } }, null, 2),
    '{"items":null,"metadata":{}}',
    '{"x":[],"items":[{}, {"a":[]}]}',
  ],
  words: ['"items":[', '\\"items":[', '"items" : [', '},{', ']}'],
  check: (input) => {
    const whole = unlessRefused(isKubeError, () => decodedList([input]));
    const cut = unlessRefused(isKubeError, () => decodedList(chunksOf(input)));
    requireTrue(isSame(whole, cut), 'chunks mean nothing');
    const expected = jsonOf(input.toString('utf8'));
    requireTrue(whole === undefined || expected !== undefined || input.length === 0, 'what is no JSON is refused');
    if (!isFields(expected) || whole === undefined) return;
    const { items } = expected;
    const isList = Array.isArray(items) && items.every((item) => isFields(item));
    if (!isList || input.toString('utf8').split('"items"').length > 2) return;
    requireTrue(isSame(whole.items, items), 'the objects are those of the list');
    requireTrue(isSame({ ...pageOf(whole.rest), items }, pageOf(expected)), 'the rest is the rest');
  },
};

const event: Decoder = {
  name: 'watch-event',
  seeds: [
    JSON.stringify({ type: 'MODIFIED', object: pod }),
    JSON.stringify({
      type: 'BOOKMARK',
      object: { metadata: { resourceVersion: '9', annotations: { 'k8s.io/initial-events-end': 'true' } } },
    }),
    JSON.stringify({
      type: 'ERROR',
      object: {
        code: 410,
        reason: 'Expired',
        message: 'too old',
        details: { retryAfterSeconds: 3, causes: [{ field: 'a' }] },
      },
    }),
  ],
  words: ['ERROR', 'ADDED'],
  check: (input) => {
    const read = unlessRefused(isKubeError, () => parseWatchEvent(input.toString('utf8')));
    requireTrue(read === undefined || read.resourceVersion !== '', 'an event has a version');
  },
};

const status: Decoder = {
  name: 'status',
  seeds: [
    JSON.stringify({
      kind: 'Status',
      code: 409,
      reason: 'AlreadyExists',
      message: 'there',
      details: { retryAfterSeconds: 1, causes: [{ reason: 'FieldValueInvalid', message: 'm', field: 'f' }] },
    }),
    '30',
    'Fri, 31 Dec 2999 23:59:59 GMT',
  ],
  words: ['1e999', 'Infinity', '-1'],
  check: (input) => {
    const text = input.toString('utf8');
    const error = errorForStatus(503, parseStatus(text), parseRetryAfterMs(text, 0));
    const { message, reason, causes, retryAfterMs = 0 } = error;
    requireTrue(
      typeof message === 'string' && typeof reason === 'string' && Array.isArray(causes),
      'an error is typed',
    );
    requireTrue(retryAfterMs >= 0 && retryAfterMs < 2 ** 31, 'a timer can wait as long as the server asks');
  },
};

/** As the API server holds it; everything may be missing. */
const leaseSchema = z.object({
  metadata: z.object({ resourceVersion: z.string().optional() }).optional(),
  spec: z
    .object({
      holderIdentity: z.string().optional(),
      leaseDurationSeconds: z.int32().optional(),
      leaseTransitions: z.int32().optional(),
      acquireTime: z.string().optional(),
      renewTime: z.string().optional(),
    })
    .optional(),
});

const lease: Decoder = {
  name: 'lease',
  seeds: [
    JSON.stringify({
      metadata: { name: 'l', resourceVersion: '4' },
      spec: { holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 3, acquireTime: 'x', renewTime: 'y' },
    }),
  ],
  check: (input) => {
    const body = unlessRefused(isKubeError, () => parseBody(input.toString('utf8')));
    const record = leaseSchema.safeParse(body).success ? fromServer<Lease | undefined>(body) : undefined;
    if (record === undefined) return;
    const observation = observe(record, undefined, 1000);
    requireTrue(freeInMs(record, 'me', { observation, nowMs: 20_000 }) >= 0, 'a lease is free at some time');
    const mine = claimed(record, { holder: 'me', leaseDurationMs: 15_000, now: new Date(0) });
    requireTrue(mine.spec?.holderIdentity === 'me', 'a claim names its holder');
    requireTrue(Number.isSafeInteger(mine.spec?.leaseTransitions), 'transitions are counted');
    requireTrue(released(mine, new Date(0)).spec?.holderIdentity === '', 'a released lease is free');
  },
};

export const kubeDecoders: readonly Decoder[] = [lines, list, event, status, lease];
