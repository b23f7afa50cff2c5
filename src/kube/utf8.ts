import { isUtf8 } from 'node:buffer';
import { KubeError } from './kube-error.ts';

/** Throws KubeError Malformed where a byte was changed on its way: decoding would put U+FFFD in its place and go on. */
export function checkUtf8(bytes: Buffer): Buffer {
  if (!isUtf8(bytes)) throw new KubeError('the answer is not UTF-8', { kind: 'Malformed' });
  return bytes;
}

export const utf8TextOf = (bytes: Buffer): string => checkUtf8(bytes).toString('utf8');
