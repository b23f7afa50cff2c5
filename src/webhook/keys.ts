import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { type PlanSection, signedBytes } from '../api/pod-annotation.ts';
import type { KubeClient } from '../kube/client.ts';
import { isKubeError } from '../kube/kube-error.ts';
import { configMaps } from '../kube/resources.ts';
import type { Signer } from './plan-pod.ts';
import {
  currentKey,
  defaultKeyPolicy,
  type KeyPolicy,
  type KeyRing,
  keyRing,
  nextKeyRing,
  successorOf,
} from './key-ring.ts';
import { keepSecretDocument, type SecretDocument } from './secret-document.ts';
import type { SigningState } from './webhook-metrics.ts';

/** Signing keys in a Secret of ours, their public halves in a ConfigMap (keyId → SPKI in base64) that agents mount. */

export interface KeyStoreOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly secretName: string;
  readonly configMapName: string;
  readonly policy?: KeyPolicy;
  /** Default Date.now. */
  readonly nowMs?: () => number;
}

export interface KeyStore {
  /** Makes, rotates, publishes; a key signs only after this replica saw it published. */
  readonly refresh: (signal: AbortSignal) => Promise<void>;
  /** undefined before the first refresh. */
  readonly signer: () => Signer | undefined;
  /** undefined before the first refresh. */
  readonly signing: () => SigningState | undefined;
}

export const createKeyStore = (options: KeyStoreOptions): KeyStore => {
  const { client, namespace, secretName, policy = defaultKeyPolicy, nowMs = Date.now } = options;
  let published: KeyRing = [];
  /** Retired and maybe still public, until a publication succeeds. */
  const retired = new Set<string>();
  const signerFor = cachedSigners();
  const document: SecretDocument<KeyRing> = {
    client,
    namespace,
    name: secretName,
    schema: keyRing,
    next: (ring) =>
      (ring ?? []).length === 0 && published.length > 0
        ? successorOf(published, nowMs(), policy)
        : nextKeyRing(ring, nowMs(), policy),
  };
  return {
    refresh: async (signal) => {
      const { before, now } = await keepSecretDocument(document, signal);
      for (const keyId of droppedFrom(before ?? [], now)) retired.add(keyId);
      const dropped = [...retired];
      await publish(options, { ring: now, dropped }, signal);
      for (const keyId of dropped) retired.delete(keyId);
      published = now;
    },
    signer: () => {
      const key = currentKey(published, nowMs());
      return key?.privateKey === undefined ? undefined : signerFor(key.keyId, key.privateKey);
    },
    signing: () => {
      const key = currentKey(published, nowMs());
      return key === undefined ? undefined : { createdAtMs: key.createdAtMs, published: published.length };
    },
  };
};

const droppedFrom = (before: KeyRing, now: KeyRing): readonly string[] =>
  before.map(({ keyId }) => keyId).filter((keyId) => !now.some((key) => key.keyId === keyId));

interface Publication {
  readonly ring: KeyRing;
  /** Taken away. What else is there stays: it may be a newer key that another replica has just made. */
  readonly dropped: readonly string[];
}

const publish = async (
  { client, namespace, configMapName: name }: KeyStoreOptions,
  { ring, dropped }: Publication,
  signal: AbortSignal,
): Promise<void> => {
  const target = { resource: configMaps, namespace, name };
  const wanted = Object.fromEntries(ring.map(({ keyId, publicKey }) => [keyId, publicKey]));
  try {
    const { data = {} } = await client.get(target, { signal });
    const isThere = ring.every(({ keyId, publicKey }) => data[keyId] === publicKey);
    const removals = Object.fromEntries(dropped.filter((id) => id in data).map((id) => [id, null]));
    if (isThere && Object.keys(removals).length === 0) return;
    await client.patch(target, { data: { ...wanted, ...removals } }, { signal });
  } catch (error) {
    if (!isKubeError(error, 'NotFound')) throw error;
    await createOrPatch({ client, target, wanted }, signal);
  }
};

const createOrPatch = async (
  {
    client,
    target,
    wanted,
  }: {
    readonly client: KubeClient;
    readonly target: { readonly resource: typeof configMaps; readonly namespace: string; readonly name: string };
    readonly wanted: Readonly<Record<string, string>>;
  },
  signal: AbortSignal,
): Promise<void> => {
  const { namespace, name } = target;
  try {
    await client.create(configMaps, { metadata: { namespace, name }, data: wanted }, { signal });
  } catch (error) {
    if (!isKubeError(error, 'AlreadyExists')) throw error;
    await client.patch(target, { data: wanted }, { signal });
  }
};

/** A Deployment's pods are equal, so that a few signatures serve many pods. */
const mostSignatures = 4096;

const cachedSigners = (): ((keyId: string, privateKey: string) => Signer) => {
  let last: Signer | undefined;
  return (keyId, privateKey) => {
    if (last?.keyId === keyId) return last;
    const der = { key: Buffer.from(privateKey, 'base64'), format: 'der', type: 'pkcs8' } as const;
    last = cachedSigner(keyId, createPrivateKey(der));
    return last;
  };
};

/** Signs equal plans once. */
const cachedSigner = (keyId: string, key: KeyObject): Signer => {
  const signatures = new Map<string, Buffer>();
  return {
    keyId,
    sign: (section: PlanSection, namespace: string): Buffer => {
      const content = signedBytes(section, namespace);
      const text = content.toString('utf8');
      const known = signatures.get(text);
      if (known !== undefined) return known;
      if (signatures.size >= mostSignatures) signatures.clear();
      const signature = sign(null, content, key);
      signatures.set(text, signature);
      return signature;
    },
  };
};
