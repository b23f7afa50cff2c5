import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { KubeClient } from '../../src/kube/client.ts';
import { collectionPath, type KubeObject, type Resource } from '../../src/kube/resources.ts';
import type { ApiServer } from '../cluster/lab/api-server.ts';
import { call, operatorNamespace } from './controller-setting.ts';

/** The operator's service account with exactly what it needs: whatever else it tries is Forbidden. */

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

const watching = ['list', 'watch'];
const own = 'connectionbudget.io';

const clusterRules: readonly Rule[] = [
  { apiGroups: [''], resources: ['pods', 'services', 'namespaces', 'nodes'], verbs: watching },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: watching },
  { apiGroups: [own], resources: ['connectionbudgets', 'connectionnodes'], verbs: watching },
  { apiGroups: [own], resources: ['connectionbudgets/status'], verbs: ['patch'] },
  { apiGroups: ['k8s.cni.cncf.io'], resources: ['network-attachment-definitions'], verbs: watching },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create'] },
  {
    apiGroups: ['admissionregistration.k8s.io'],
    resources: ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'],
    resourceNames: ['connectionbudget'],
    verbs: ['get', 'patch'],
  },
];

const namespaceRules: readonly Rule[] = [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    resourceNames: ['connectionbudget-controller'],
    verbs: ['get', 'update'],
  },
  { apiGroups: [''], resources: ['secrets', 'configmaps'], verbs: ['create'] },
  {
    apiGroups: [''],
    resources: ['secrets'],
    resourceNames: ['connectionbudget-webhook-certificates', 'connectionbudget-signing-keys'],
    verbs: ['get', 'update'],
  },
  {
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: ['connectionbudget-public-keys'],
    verbs: ['get', 'patch'],
  },
];

const account = 'connectionbudget-operator';
const rbac = { group: 'rbac.authorization.k8s.io', version: 'v1' } as const;

function rbacResource(kind: string, namespaced: boolean): Resource<KubeObject> {
  return { ...rbac, kind, plural: `${kind.toLowerCase()}s`, namespaced };
}

const serviceAccounts: Resource<KubeObject> = {
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  namespaced: true,
};

const clusterRoleTarget = { resource: rbacResource('ClusterRole', false), name: account };
const roleTarget = { resource: rbacResource('Role', true), namespace: operatorNamespace, name: account };

/** The path of a kubeconfig of the service account, whose token is in a file as in a pod. */
export async function grantOperatorRights(server: ApiServer, client: KubeClient): Promise<string> {
  const metadata = { name: account };
  const local = { name: account, namespace: operatorNamespace };
  const subjects = [{ kind: 'ServiceAccount', ...local }];
  const roleRef = (kind: string) => ({ apiGroup: rbac.group, kind, name: account });
  await client.create(serviceAccounts, { metadata: local }, call);
  const clusterRole = { metadata, rules: clusterRules };
  await client.create(clusterRoleTarget.resource, clusterRole, call);
  const role = { metadata: local, rules: namespaceRules };
  await client.create(roleTarget.resource, role, call);
  const everywhere = { roleRef: roleRef('ClusterRole'), subjects };
  await client.create(rbacResource('ClusterRoleBinding', false), { metadata, ...everywhere }, call);
  const here = { roleRef: roleRef('Role'), subjects };
  await client.create(rbacResource('RoleBinding', true), { metadata: local, ...here }, call);
  await issueToken(server, client);
  return writeTokenKubeconfig(server);
}

/** Takes rights to some resources away; what is returned gives all back, as does the end of the test. */
export async function withdraw(client: KubeClient, ...resources: readonly string[]): Promise<() => Promise<void>> {
  const left = (rules: readonly Rule[]) =>
    rules.map((rule) => ({ ...rule, resources: rule.resources.filter((one) => !resources.includes(one)) }));
  const set = async (change: (rules: readonly Rule[]) => readonly Rule[]): Promise<void> => {
    const value = (rules: readonly Rule[]) => change(rules).filter((rule) => rule.resources.length > 0);
    await client.patch(clusterRoleTarget, [{ op: 'replace', path: '/rules', value: value(clusterRules) }], call);
    await client.patch(roleTarget, [{ op: 'replace', path: '/rules', value: value(namespaceRules) }], call);
  };
  const giveBack = async (): Promise<void> => set((rules) => rules);
  onTestFinished(giveBack);
  await set(left);
  return giveBack;
}

const tokenFileOf = ({ dir }: ApiServer): string => join(dir, 'operator.token');

/** As a kubelet does it: the file is exchanged. */
export async function issueToken(server: ApiServer, client: KubeClient): Promise<void> {
  await writeFile(`${tokenFileOf(server)}.new`, await tokenFor(client), { mode: 0o600 });
  await rename(`${tokenFileOf(server)}.new`, tokenFileOf(server));
}

/** Tokens are of one account: another of the same name makes the old ones worthless. */
export async function revokeTokens(server: ApiServer, client: KubeClient): Promise<void> {
  await rm(tokenFileOf(server));
  await client.delete({ resource: serviceAccounts, namespace: operatorNamespace, name: account }, call);
  await client.create(serviceAccounts, { metadata: { name: account, namespace: operatorNamespace } }, call);
}

async function tokenFor(client: KubeClient): Promise<string> {
  const path = `${collectionPath(serviceAccounts, operatorNamespace)}/${account}/token`;
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
  const answer = await client.transport.send({ method: 'POST', path, body }, call);
  return (answer as { readonly status: { readonly token: string } }).status.token;
}

async function writeTokenKubeconfig(server: ApiServer): Promise<string> {
  const authority = await readFile(server.identity.authority.certificateFile);
  const cluster = { server: server.url, 'certificate-authority-data': authority.toString('base64') };
  const provider = { name: 'tokenFile', config: { tokenFile: tokenFileOf(server) } };
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster }],
    users: [{ name: account, user: { 'auth-provider': provider } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: account } }],
    'current-context': 'test',
  };
  const file = join(server.dir, 'operator.kubeconfig');
  await writeFile(file, JSON.stringify(kubeconfig), { mode: 0o600 });
  return file;
}
