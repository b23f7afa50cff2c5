import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { z } from 'zod';

/** The Ed25519 keys that plans are signed with, oldest first, and when each is used. Pure but for the making of a key. */

const keyHalves = z.object({
  keyId: z.string().min(1).max(64),
  /** SPKI and PKCS #8, DER in base64; the private one is forgotten some time after its successor took over. */
  publicKey: z.string().min(1),
  privateKey: z.string().optional(),
  createdAtMs: z.int(),
  usableFromMs: z.int(),
});
export type SigningKey = z.output<typeof keyHalves>;

const derOf = (base64: string) => ({ key: Buffer.from(base64, 'base64'), format: 'der' }) as const;

const isWhole = ({ publicKey, privateKey }: SigningKey): boolean => {
  try {
    const published = createPublicKey({ ...derOf(publicKey), type: 'spki' });
    if (published.asymmetricKeyType !== 'ed25519') return false;
    if (privateKey === undefined) return true;
    const ownPublic = createPublicKey(createPrivateKey({ ...derOf(privateKey), type: 'pkcs8' }));
    // Compared with a key of another type it would leave an error behind that the next call of OpenSSL throws (Node 24.21).
    return ownPublic.asymmetricKeyType === 'ed25519' && ownPublic.equals(published);
  } catch {
    return false;
  }
};

const mostKeys = 64;

/** A key that was damaged would sign nothing, or what no agent verifies: it is as one that is not there. */
export const keyRing = z
  .array(keyHalves)
  .max(mostKeys)
  .transform((ring) => ring.filter(isWhole));

export type KeyRing = readonly SigningKey[];

export interface KeyPolicy {
  /** A successor is made when the newest key is this old. */
  readonly rotateAfterMs: number;
  /** How long a key is public before it signs: a mounted ConfigMap reaches the agents in about 90 s. */
  readonly publishLeadMs: number;
  /** How long plans of a superseded key still verify; pods that are older are said to be unverified. */
  readonly keepAfterMs: number;
}

const dayMs = 86_400_000;
export const defaultKeyPolicy: KeyPolicy = {
  rotateAfterMs: 90 * dayMs,
  publishLeadMs: 600_000,
  keepAfterMs: 730 * dayMs,
};

/** Of the public key, so that nobody can choose it: 16 hex digits of SHA-256. */
export const keyIdFor = (spki: Buffer): string => createHash('sha256').update(spki).digest('hex').slice(0, 16);

const newKey = (createdAtMs: number, usableFromMs: number): SigningKey => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return {
    keyId: keyIdFor(spki),
    publicKey: spki.toString('base64'),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
    createdAtMs,
    usableFromMs,
  };
};

/** When the key was superseded: when the next newer one became usable. */
const supersededAtMs = (ring: KeyRing, index: number): number => ring[index + 1]?.usableFromMs ?? Infinity;

const withoutPrivateKey = ({ keyId, publicKey, createdAtMs, usableFromMs }: SigningKey): SigningKey => ({
  keyId,
  publicKey,
  createdAtMs,
  usableFromMs,
});

const retire = (ring: KeyRing, nowMs: number, policy: KeyPolicy): KeyRing => {
  const isForgotten = (index: number): boolean => supersededAtMs(ring, index) + policy.publishLeadMs <= nowMs;
  if (!ring.some((key, index) => key.privateKey !== undefined && isForgotten(index))) return ring;
  return ring.map((key, index) => (isForgotten(index) ? withoutPrivateKey(key) : key));
};

const drop = (ring: KeyRing, nowMs: number, policy: KeyPolicy): KeyRing => {
  const kept = ring.filter((_, index) => supersededAtMs(ring, index) + policy.keepAfterMs > nowMs);
  return kept.length === ring.length ? ring : kept;
};

/** For clocks that are behind ours, as for certificates. */
const allowedSkewMs = 3_600_000;

/** Without keys by a clock that was ahead: they would sign nothing, and be due for renewal, only when ours is there. */
const withoutFuture = (ring: KeyRing, nowMs: number): KeyRing => {
  const kept = ring.filter(({ createdAtMs }) => createdAtMs - allowedSkewMs <= nowMs);
  return kept.length === ring.length ? ring : kept;
};

/** The ring as it should be now; the same value where it is. The very first key signs at once: there is no other. */
export const nextKeyRing = (before: KeyRing | undefined, nowMs: number, policy: KeyPolicy): KeyRing => {
  const ring = withoutFuture(before ?? [], nowMs);
  const newest = ring.at(-1);
  if (newest?.privateKey === undefined) return [...ring, newKey(nowMs, nowMs)];
  const isDue = newest.createdAtMs + policy.rotateAfterMs <= nowMs;
  return drop(retire(isDue ? rotated(ring, nowMs, policy) : ring, nowMs, policy), nowMs, policy);
};

/** In the place of a ring that was deleted: agents know its keys and no other, so this is a rotation. */
export const successorOf = (lost: KeyRing, nowMs: number, policy: KeyPolicy): KeyRing =>
  currentKey(lost, nowMs) === undefined
    ? nextKeyRing(lost, nowMs, policy)
    : drop(rotated(lost, nowMs, policy), nowMs, policy);

const rotated = (ring: KeyRing, nowMs: number, policy: KeyPolicy): KeyRing =>
  [...ring, newKey(nowMs, nowMs + policy.publishLeadMs)].slice(-mostKeys);

/** The newest key that is usable. */
export const currentKey = (ring: KeyRing, nowMs: number): SigningKey | undefined =>
  ring.findLast((key) => key.privateKey !== undefined && key.usableFromMs <= nowMs);
