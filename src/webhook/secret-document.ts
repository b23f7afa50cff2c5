import type { z } from 'zod';
import type { KubeClient } from '../kube/client.ts';
import { isKubeError } from '../kube/kube-error.ts';
import type { KubeObject, Resource } from '../kube/resources.ts';

/** One JSON document in a Secret that all replicas share: whoever comes first writes it, nobody overwrites another. */

interface Secret extends KubeObject {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

const secrets: Resource<Secret> = { group: '', version: 'v1', kind: 'Secret', plural: 'secrets', namespaced: true };

const documentKey = 'document.json';
const mostAttempts = 5;

export interface SecretDocument<T> {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  readonly schema: z.ZodType<T>;
  /** The document as it should be; the very same value where nothing is to be written. undefined: missing or unreadable. */
  readonly next: (current: T | undefined) => T;
}

const decode = <T>(secret: Secret | undefined, schema: z.ZodType<T>): T | undefined => {
  try {
    const text = Buffer.from(secret?.data?.[documentKey] ?? '', 'base64').toString('utf8');
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
};

const readSecret = async <T>(document: SecretDocument<T>, signal: AbortSignal): Promise<Secret | undefined> => {
  const { client, namespace, name } = document;
  try {
    return await client.get({ resource: secrets, namespace, name }, { signal });
  } catch (error) {
    if (isKubeError(error, 'NotFound')) return undefined;
    throw error;
  }
};

const writeSecret = async <T>(
  { client, namespace, name }: SecretDocument<T>,
  value: T,
  { before, signal }: { readonly before: Secret | undefined; readonly signal: AbortSignal },
): Promise<void> => {
  const data = { [documentKey]: Buffer.from(JSON.stringify(value)).toString('base64') };
  if (before === undefined) {
    await client.create(secrets, { metadata: { namespace, name }, type: 'Opaque', data }, { signal });
  } else {
    await client.update({ resource: secrets, namespace, name }, { ...before, data }, { signal });
  }
};

/** Reads, decides, writes with the version that was read; starts again where another replica was faster. */
export const keepSecretDocument = async <T>(
  document: SecretDocument<T>,
  signal: AbortSignal,
): Promise<{ readonly before: T | undefined; readonly now: T }> => {
  for (let attempt = 1; ; attempt += 1) {
    const secret = await readSecret(document, signal);
    const before = decode(secret, document.schema);
    const now = document.next(before);
    if (now === before) return { before, now };
    try {
      await writeSecret(document, now, { before: secret, signal });
      return { before, now };
    } catch (error) {
      if (!isKubeError(error, 'Conflict', 'AlreadyExists', 'NotFound') || attempt === mostAttempts) throw error;
    }
  }
};
