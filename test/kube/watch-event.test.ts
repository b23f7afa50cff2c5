import { describe, expect, test } from 'vitest';
import { parseWatchEvent } from '../../src/kube/watch-event.ts';

const object = { metadata: { name: 'a', resourceVersion: '7' } };
const line = (type: string, value: unknown = object): string => JSON.stringify({ type, object: value });

test.each([
  ['ADDED', { type: 'Changed', object, resourceVersion: '7' }],
  ['MODIFIED', { type: 'Changed', object, resourceVersion: '7' }],
  ['DELETED', { type: 'Deleted', object, resourceVersion: '7' }],
  ['BOOKMARK', { type: 'Bookmark', resourceVersion: '7', endsInitialEvents: false }],
])('%s is read', (type, expected) => {
  expect(parseWatchEvent(line(type))).toEqual(expected);
});

test('the bookmark that ends the initial events is told from the others', () => {
  const annotations = { 'k8s.io/initial-events-end': 'true' };
  const bookmark = line('BOOKMARK', { metadata: { resourceVersion: '9', annotations } });
  expect(parseWatchEvent(bookmark)).toEqual({ type: 'Bookmark', resourceVersion: '9', endsInitialEvents: true });
});

describe('an ERROR event is the error of its Status', () => {
  test.each([
    [
      { code: 410, reason: 'Expired', message: 'too old' },
      { kind: 'Gone', status: 410, reason: 'Expired' },
    ],
    [
      { code: 500, details: { retryAfterSeconds: 3 } },
      { kind: 'ServerError', retryAfterMs: 3000 },
    ],
    [{ code: 429 }, { kind: 'TooManyRequests' }],
    [null, { kind: 'ServerError', status: 500 }],
  ])('%j', (status, expected) => {
    expect(() => parseWatchEvent(line('ERROR', status))).toThrow(expect.objectContaining(expected));
  });
});

test.each([
  '',
  '{',
  'null',
  '3',
  '[]',
  '{}',
  line('ADDED', null),
  line('ADDED', {}),
  line('ADDED', { metadata: { name: 'a' } }),
  line('ADDED', { metadata: { name: 'a', resourceVersion: 7 } }),
  line('SHRUNK'),
])('%j is Malformed', (text) => {
  expect(() => parseWatchEvent(text)).toThrow(expect.objectContaining({ kind: 'Malformed' }));
});
