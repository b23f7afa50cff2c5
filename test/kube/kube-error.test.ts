import { expect, test } from 'vitest';
import { errorForStatus, parseRetryAfterMs, parseStatus } from '../../src/kube/kube-error.ts';

test.each([
  [404, '', 'NotFound'],
  [409, 'Conflict', 'Conflict'],
  [409, 'AlreadyExists', 'AlreadyExists'],
  [410, 'Expired', 'Gone'],
  [418, '', 'BadRequest'],
  [422, 'Invalid', 'Invalid'],
  [429, '', 'TooManyRequests'],
  [500, '', 'ServerError'],
  [502, '', 'ServerError'],
  [503, '', 'Unavailable'],
  [504, '', 'Timeout'],
])('%i %s is %s', (status, reason, kind) => {
  expect(errorForStatus(status, { reason })).toMatchObject({ kind, status, reason });
});

const now = Date.parse('2026-11-23T12:00:00Z');

test.each([
  ['2', 2_000],
  ['0', 0],
  ['-1', 0],
  ['Mon, 23 Nov 2026 12:00:30 GMT', 30_000],
  ['Mon, 23 Nov 2026 11:00:00 GMT', 0],
  ['99999999999', 600_000],
  ['Infinity', 600_000],
  ['Fri, 31 Dec 2999 23:59:59 GMT', 600_000],
  ['soon', undefined],
  ['', undefined],
  [undefined, undefined],
])('Retry-After %j is %j ms', (header, expected) => {
  expect(parseRetryAfterMs(header, now)).toBe(expected);
});

test('the header counts before the Status', () => {
  const status = { details: { retryAfterSeconds: 9 } };
  expect(errorForStatus(429, status, 1_000).retryAfterMs).toBe(1_000);
  expect(errorForStatus(429, status).retryAfterMs).toBe(9_000);
});

test('what a proxy in between wrote becomes the message', () => {
  expect(errorForStatus(502, parseStatus('<html>bad gateway</html>')).message).toBe('<html>bad gateway</html>');
  expect(errorForStatus(502, parseStatus('')).message).toBe('the API server answered 502');
});

test('a Status whose fields are of other types is as one without them', () => {
  const text = '{"message":{"toString":1},"reason":7,"details":{"causes":{},"retryAfterSeconds":"x"}}';
  expect(errorForStatus(503, parseStatus(text))).toMatchObject({
    message: 'the API server answered 503',
    reason: '',
    causes: [],
    retryAfterMs: undefined,
  });
});
