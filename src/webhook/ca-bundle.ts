import { webhookFieldManager } from '../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import type { KubeObject, Resource } from '../kube/resources.ts';

/** The caBundle of our webhook configurations, which the chart leaves to us. */

interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly { readonly name: string; readonly clientConfig?: { readonly caBundle?: string } }[];
}

const admissionRegistration = { group: 'admissionregistration.k8s.io', version: 'v1', namespaced: false } as const;

const mutating: Resource<WebhookConfiguration> = {
  ...admissionRegistration,
  kind: 'MutatingWebhookConfiguration',
  plural: 'mutatingwebhookconfigurations',
};
const validating: Resource<WebhookConfiguration> = {
  ...admissionRegistration,
  kind: 'ValidatingWebhookConfiguration',
  plural: 'validatingwebhookconfigurations',
};

export interface CaBundleOptions {
  readonly client: KubeClient;
  readonly mutatingConfiguration: string;
  readonly validatingConfiguration: string;
}

/**
 * Puts the bundle wherever another one is, by server-side apply of that field alone; forced, for the field is ours whoever
 * wrote it. Never creates a configuration. True where something was wrong.
 */
export const keepCaBundle = async (
  { client, mutatingConfiguration, validatingConfiguration }: CaBundleOptions,
  caBundle: string,
  signal: AbortSignal,
): Promise<boolean> => {
  const targets = [
    { resource: mutating, name: mutatingConfiguration },
    { resource: validating, name: validatingConfiguration },
  ];
  let repaired = false;
  for (const target of targets) {
    const { webhooks = [] } = await client.get(target, { signal });
    if (webhooks.every(({ clientConfig }) => clientConfig?.caBundle === caBundle)) continue;
    const fields = { webhooks: webhooks.map(({ name }) => ({ name, clientConfig: { caBundle } })) };
    await client.apply(target, fields, { signal, fieldManager: webhookFieldManager, force: true });
    repaired = true;
  }
  return repaired;
};
