import { createPublicKey, type KeyObject } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { type Judge, type PublicKeys, rememberingJudge } from './verify-signature.ts';

export interface KeyListeners {
  /** The keys are others now: what they did not verify may verify. Not called for those of the start. */
  readonly onChange: () => void;
  readonly onError: (error: KeyError) => void;
}

/** A file name is the key's id; the kubelet's own entries (..data) begin with a dot. */
const keyIdPattern = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;

/**
 * The public keys of the webhook in a mounted ConfigMap: a file per key, its name the id, its content the key in base64
 * (SubjectPublicKeyInfo, RFC 8410). What is no Ed25519 key is left out and told.
 */
export class KeyDirectory {
  readonly #path: string;
  readonly #listeners: KeyListeners;
  #content: string | undefined;
  #keys: PublicKeys = new Map();
  #judge: Judge = rememberingJudge(this.#keys);

  constructor(path: string, listeners: KeyListeners) {
    this.#path = path;
    this.#listeners = listeners;
    this.#read();
  }

  get keyIds(): readonly string[] {
    return [...this.#keys.keys()];
  }

  readonly judge: Judge = (annotation, namespace) => this.#judge(annotation, namespace);

  /** Whoever calls it: a change reaches `onChange` before it returns. */
  reread(): void {
    if (this.#read()) this.#listeners.onChange();
  }

  /** Whether the keys have changed. Two or three small files, so reading them all is how a change is noticed. */
  #read(): boolean {
    const files = readFiles(this.#path);
    const content = JSON.stringify(files);
    if (files === undefined || content === this.#content) return false;
    this.#content = content;
    const parsed = Object.entries(files).map(([id, text]) => [id, this.#parse(id, text)] as const);
    this.#keys = new Map(parsed.filter((entry): entry is [string, KeyObject] => entry[1] !== undefined));
    this.#judge = rememberingJudge(this.#keys);
    return true;
  }

  #parse(id: string, text: string): KeyObject | undefined {
    try {
      const key = createPublicKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'spki' });
      if (key.asymmetricKeyType === 'ed25519') return key;
      this.#listeners.onError(new KeyError('NotEd25519', `the key ${id} is of type ${key.asymmetricKeyType}`));
    } catch (cause) {
      this.#listeners.onError(
        new KeyError('Unreadable', `the key ${id} is not base64 of a SubjectPublicKeyInfo`, { cause }),
      );
    }
    return undefined;
  }
}

export class KeyError extends Error {
  override readonly name = 'KeyError';
  readonly kind: 'NotEd25519' | 'Unreadable';

  constructor(kind: KeyError['kind'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/**
 * Undefined where it cannot be read: the ConfigMap is optional (the agent may be there before the webhook), and in the
 * moment when the kubelet exchanges its content the keys of before are as good.
 */
function readFiles(directory: string): Readonly<Record<string, string>> | undefined {
  try {
    const names = readdirSync(directory).filter((name) => keyIdPattern.test(name));
    return Object.fromEntries(names.toSorted().map((name) => [name, readFileSync(join(directory, name), 'utf8')]));
  } catch {
    return undefined;
  }
}
