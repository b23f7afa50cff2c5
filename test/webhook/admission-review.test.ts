import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type Admission, parseReview, reviewResponse } from '../../src/webhook/admission-review.ts';

/** The schema that the check by hand is as strict as. */
const review = z.object({
  apiVersion: z.literal('admission.k8s.io/v1'),
  kind: z.literal('AdmissionReview'),
  request: z.object({
    uid: z.string().min(1).max(128),
    operation: z.enum(['CREATE', 'UPDATE', 'DELETE', 'CONNECT']),
    namespace: z.string().max(253).default(''),
    subResource: z.string().default(''),
    object: z.unknown().optional(),
    oldObject: z.unknown().optional(),
  }),
});

const read = (json: unknown) => parseReview(Buffer.from(JSON.stringify(json)));

const odd = fc.oneof(fc.constantFrom(null, 0, true, ''), fc.string(), fc.array(fc.string()), fc.object());
const textLike = (...usual: readonly string[]) =>
  fc.oneof(
    fc.constantFrom(...usual),
    fc.nat(300).map((length) => 'x'.repeat(length)),
    odd,
  );
const requestArbitrary = fc.record(
  {
    uid: textLike('u1'),
    operation: textLike('CREATE', 'UPDATE', 'DELETE', 'CONNECT', 'create'),
    namespace: textLike('messaging'),
    subResource: textLike('', 'status'),
    object: odd,
    oldObject: odd,
    dryRun: fc.boolean(),
  },
  { requiredKeys: ['uid', 'operation'] },
);
const reviewArbitrary = fc.record({
  apiVersion: textLike('admission.k8s.io/v1'),
  kind: textLike('AdmissionReview'),
  request: fc.oneof({ weight: 5, arbitrary: requestArbitrary }, { weight: 1, arbitrary: odd }),
});

test('a review is read as the schema reads it, or refused as it refuses it', () => {
  fc.assert(
    fc.property(fc.oneof({ weight: 9, arbitrary: reviewArbitrary }, odd), (json) => {
      expect(read(json)).toEqual(review.safeParse(JSON.parse(JSON.stringify(json))).data?.request);
    }),
    { numRuns: 2000 },
  );
});

const withMetadata = (metadata: string): Buffer =>
  Buffer.from(
    `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u1","operation":"CREATE","object":{"metadata":${metadata},"spec":1}}}`,
  );
const metadataOf = (body: Buffer): unknown => Reflect.get(parseReview(body)?.object ?? {}, 'metadata');

/** Every list of managed fields is empty. */
const emptied = (json: string): unknown =>
  JSON.parse(json, (name, value: unknown) => (name === 'managedFields' && Array.isArray(value) ? [] : value));

test('everything but managed fields is read as it is written, wherever their like stands', () => {
  const key = fc.constantFrom(
    'managedFields',
    'x\\"managedFields',
    '"managedFields":[',
    'a]"',
    '[',
    '\u{1f511}',
    'labels',
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof({ maxDepth: 4 }, key, fc.nat(), fc.array(tie('tree')), fc.dictionary(key, tie('tree'))),
  }));
  fc.assert(
    fc.property(fc.dictionary(key, tree), (metadata) => {
      const text = JSON.stringify(metadata);
      expect(emptied(JSON.stringify(metadataOf(withMetadata(text))))).toEqual(emptied(text));
    }),
    { numRuns: 1000 },
  );
});

test.each([
  [
    'the list of who owns what',
    '{"managedFields":[{"a":"]","b":{"k:{\\"x\\":\\"[\\"}":{}},"c":[[1],[]]}],"name":"a"}',
    { managedFields: [], name: 'a' },
  ],
  ['another type of that name', '{"managedFields":{"a":1}}', { managedFields: { a: 1 } }],
  [
    'a key that ends like it',
    '{"x\\"managedFields":[1],"managedFields":[2]}',
    { 'x"managedFields': [1], managedFields: [2] },
  ],
  ['the last of two equal keys', '{"name":"a","name":"b"}', { name: 'b' }],
])('%s is read', (_, metadata, expected) => {
  expect(metadataOf(withMetadata(metadata))).toEqual(expected);
});

test.each([
  ['a list that does not end', '{"managedFields":[{"a":1}'],
  ['a string that does not end', '{"managedFields":["a}]'],
  ['a list that ends too often', '{"managedFields":[]]}'],
])('%s is no review', (_, metadata) => {
  expect(parseReview(withMetadata(metadata))).toBeUndefined();
});

test('an answer is ASCII and says what was decided, with its own uid each time', () => {
  const patch = [{ op: 'add', path: '/a', value: 'ä🔑' }] as const;
  const admission: Admission = { result: 'Patched', patch, warnings: ['größer als geplant 🔑', 'x'.repeat(300)] };
  const answers = ['u1', 'ü"2'].map((uid) => reviewResponse(uid, admission));

  expect(answers.join('')).toMatch(/^[ -~]+$/);
  expect(answers.map((answer) => JSON.parse(answer) as unknown)).toEqual(
    ['u1', 'ü"2'].map((uid) => ({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: {
        uid,
        allowed: true,
        patchType: 'JSONPatch',
        patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
        warnings: ['größer als geplant 🔑', `${'x'.repeat(255)}…`],
      },
    })),
  );
});
