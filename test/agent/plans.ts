import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { encodeAnnotation, type PlanSection, signedBytes } from '../../src/api/pod-annotation.ts';

export const namespace = 'messaging';

export const sectionOf = (change: Partial<PlanSection> = {}): PlanSection => ({
  version: 1,
  keyId: 'key-1',
  budget: { name: 'gateway', uid: 'budget-uid', generation: 3 },
  containers: [{ name: 'gateway', soft: 8039, hard: 8039 }],
  sysctls: { 'net.core.somaxconn': '5499' },
  portRange: { low: 32768, high: 60999 },
  reservedPorts: [],
  sourceAddresses: { provider: 'None', extra: 0, spread: 'Transparent' },
  flows: [{ name: 'mqtt', direction: 'Inbound', port: 1883, targets: [] }],
  ...change,
});

export interface Signer {
  readonly publicKey: KeyObject;
  /** As the webhook publishes it. */
  readonly published: string;
  readonly annotationOf: (section: PlanSection, inNamespace?: string) => string;
}

export function makeSigner(): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return {
    publicKey,
    published: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
    annotationOf: (section, inNamespace = namespace) =>
      encodeAnnotation(section, sign(null, signedBytes(section, inNamespace), privateKey)),
  };
}
