import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import type { KubeObject, Resource, Target } from '../../../src/kube/resources.ts';
import { leases } from '../../../src/kube/resources.ts';
import { sleep } from '../../../src/kube/deadline.ts';
import { type Soak, systemNamespace } from '../soak-setting.ts';
import { type Fault, secondsText } from './fault.ts';

/** What the operator lives on in the API server, taken away or broken. */

interface Binding extends KubeObject {
  readonly roleRef?: unknown;
  readonly subjects?: unknown;
}

const rbac = { group: 'rbac.authorization.k8s.io', version: 'v1' } as const;
const clusterRoleBindings: Resource<Binding> = {
  ...rbac,
  kind: 'ClusterRoleBinding',
  plural: 'clusterrolebindings',
  namespaced: false,
};
const roleBindings: Resource<Binding> = { ...rbac, kind: 'RoleBinding', plural: 'rolebindings', namespaced: true };
const secrets: Resource<KubeObject> = {
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  namespaced: true,
};
const admission = { group: 'admissionregistration.k8s.io', version: 'v1', namespaced: false } as const;
const configurations: readonly Target<KubeObject>[] = ['Mutating', 'Validating'].map((kind) => ({
  resource: {
    ...admission,
    kind: `${kind}WebhookConfiguration`,
    plural: `${kind.toLowerCase()}webhookconfigurations`,
  },
  name: 'connectionbudget',
}));

/** It may be away already: the fault before is not mended yet. */
const removed = (kind: string, target: Target<KubeObject>): Fault => ({
  kind,
  stopsTheClock: false,
  inflict: async ({ client, signal }) => {
    await client.delete(target, { signal });
    return '';
  },
});

const rightsRemoved = (kind: string, target: Target<Binding>): Fault => ({
  kind,
  stopsTheClock: false,
  inflict: async ({ client, signal }, random) => {
    const awayMs = random.between(2000, 12_000);
    const { metadata, roleRef, subjects } = await client.get(target, { signal });
    const { name = '', namespace, labels = {} } = metadata ?? {};
    const place = namespace === undefined ? { name } : { name, namespace };
    await client.delete(target, { signal });
    await sleep(awayMs, signal);
    await client.create(target.resource, { metadata: { ...place, labels }, roleRef, subjects }, { signal });
    return `for ${secondsText(awayMs)}`;
  },
});

const kubeconfig = z.object({
  clusters: z.array(z.object({ cluster: z.object({ 'certificate-authority-data': z.string() }) })),
});

/** The cluster's own authority: a certificate that API servers take, and that signed none of ours. */
const foreignAuthority = async ({ cluster }: Soak): Promise<string> => {
  const { clusters } = kubeconfig.parse(parse(await readFile(cluster.kubeconfig, 'utf8')));
  return clusters[0]?.cluster['certificate-authority-data'] ?? '';
};

const caBundleBroken: Fault = {
  kind: 'caBundle broken',
  stopsTheClock: false,
  inflict: async (soak, random) => {
    const target = random.pick(configurations);
    const value = await foreignAuthority(soak);
    const step = { op: 'replace', path: '/webhooks/0/clientConfig/caBundle', value } as const;
    await soak.client.patch(target, [step], { signal: soak.signal });
    return target.resource.kind;
  },
};

const inSystem = <T extends KubeObject>(resource: Resource<T>, name: string): Target<T> => ({
  resource,
  namespace: systemNamespace,
  name,
});

export const objectFaults: readonly Fault[] = [
  removed('certificate Secret deleted', inSystem(secrets, 'connectionbudget-webhook-certificates')),
  removed('Lease deleted', inSystem(leases, 'connectionbudget-controller')),
  rightsRemoved('rights of the operator removed', {
    resource: clusterRoleBindings,
    name: 'connectionbudget-controller',
  }),
  rightsRemoved('rights of the agent removed', { resource: clusterRoleBindings, name: 'connectionbudget-agent' }),
  rightsRemoved('rights in our namespace removed', inSystem(roleBindings, 'connectionbudget-controller')),
  caBundleBroken,
];
