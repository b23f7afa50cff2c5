import { createPrivateKey, createPublicKey } from 'node:crypto';
import { expect, test } from 'vitest';
import { currentKey, keyIdFor, type KeyRing, keyRing, nextKeyRing, successorOf } from '../../src/webhook/key-ring.ts';

const policy = { rotateAfterMs: 1000, publishLeadMs: 100, keepAfterMs: 5000 };
const first = nextKeyRing(undefined, 0, policy);
const idsOf = (ring: KeyRing) => ring.map(({ keyId }) => keyId);

test('the first key signs at once and is named after its public half', () => {
  const key = currentKey(first, 0);
  const publicKey = Buffer.from(key?.publicKey ?? '', 'base64');
  const der = { key: Buffer.from(key?.privateKey ?? '', 'base64'), format: 'der', type: 'pkcs8' } as const;

  expect(key?.keyId).toBe(keyIdFor(publicKey));
  expect(createPublicKey(createPrivateKey(der)).export({ format: 'der', type: 'spki' })).toEqual(publicKey);
});

test('a ring that needs nothing is the very same value', () => {
  expect(nextKeyRing(first, 999, policy)).toBe(first);
});

test('a successor is in the ring for the lead before it signs', () => {
  const ring = nextKeyRing(first, 1000, policy);

  expect(ring).toHaveLength(2);
  expect(currentKey(ring, 1099)?.keyId).toBe(ring[0]?.keyId);
  expect(currentKey(ring, 1100)?.keyId).toBe(ring[1]?.keyId);
});

test('a superseded key loses its private half after the lead, and its public half much later', () => {
  const rotated = nextKeyRing(first, 1000, policy);
  const both = nextKeyRing(rotated, 1199, policy);
  const retired = nextKeyRing(rotated, 1200, policy);
  const unchanged = nextKeyRing(retired, 1201, policy);
  const later = nextKeyRing(nextKeyRing(retired, 6099, policy), 6100, policy);

  expect(both).toBe(rotated);
  expect(retired.map(({ privateKey }) => privateKey === undefined)).toEqual([true, false]);
  expect(idsOf(retired)).toEqual(idsOf(rotated));
  expect(unchanged).toBe(retired);
  expect(idsOf(later)).not.toContain(rotated[0]?.keyId);
  expect(idsOf(later)).toContain(rotated[1]?.keyId);
});

test('a ring without a private key gets a new one', () => {
  const withoutPrivate = first.map(({ keyId, publicKey, createdAtMs, usableFromMs }) => ({
    keyId,
    publicKey,
    createdAtMs,
    usableFromMs,
  }));
  const ring = nextKeyRing(withoutPrivate, 10, policy);

  expect(currentKey(ring, 10)?.keyId).not.toBe(first[0]?.keyId);
});

test('a key by a clock that was ahead is dropped, and another signs at once', () => {
  const hourMs = 3_600_000;
  const later = nextKeyRing(undefined, 2 * hourMs, policy);
  const mixed = [...first, ...later];

  expect(idsOf(nextKeyRing(later, hourMs - 1, policy))).not.toContain(later[0]?.keyId);
  expect(currentKey(nextKeyRing(later, hourMs - 1, policy), hourMs - 1)).toBeDefined();
  expect(idsOf(nextKeyRing(mixed, 10, policy))).toEqual(idsOf(first));
});

test('in the place of a deleted ring comes a rotation: the key before signs until its successor was public', () => {
  const ring = successorOf(first, 10, policy);

  expect(idsOf(ring)).toEqual([...idsOf(first), expect.any(String)]);
  expect(currentKey(ring, 109)?.keyId).toBe(first[0]?.keyId);
  expect(currentKey(ring, 110)?.keyId).toBe(ring[1]?.keyId);
  expect(currentKey(successorOf([], 10, policy), 10)).toBeDefined();
});

test('a damaged key is as one that is not there, and the others stay', () => {
  const [key] = first;
  const [other] = nextKeyRing(undefined, 0, policy);
  const damaged = [
    { ...key, keyId: 'cut', privateKey: key?.privateKey?.slice(8) },
    { ...key, keyId: 'of-another', privateKey: other?.privateKey },
    { ...key, keyId: 'no-key', publicKey: 'AAAA' },
  ];
  expect(keyRing.parse([...damaged, key])).toEqual([key]);
});

test('a private key of another type is none, and the next call of OpenSSL does not fail for it', () => {
  const [key] = first;
  // The OIDs of Ed25519 and X25519 (RFC 8410), 1.3.101.112 and 110, in the middle of the DER.
  const privateKey = key?.privateKey?.replace('K2Vw', 'K2Vu');
  expect(keyRing.parse([{ ...key, privateKey }])).toEqual([]);
  const der = Buffer.from(key?.privateKey ?? '', 'base64');
  expect(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).asymmetricKeyType).toBe('ed25519');
});
