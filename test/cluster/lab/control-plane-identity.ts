import { join } from 'node:path';
import { writeKubeconfig } from './kubeconfig.ts';
import { createAuthority, createTokenKeys, issueCertificate, type Authority, type Certificate } from './pki.ts';

/** Everything by which the parts of one control plane know each other. */
export type ControlPlaneIdentity = {
  readonly authority: Authority;
  readonly frontProxyAuthority: Authority;
  readonly frontProxyClient: Certificate;
  readonly serving: Certificate;
  readonly kubeletClient: Certificate;
  readonly tokenKeys: { readonly publicFile: string; readonly keyFile: string };
};

export type IdentityOptions = { readonly dir: string; readonly hosts: readonly string[]; readonly signal: AbortSignal };

const serviceNames = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'localhost'];
const administrators = 'system:masters';

export async function createIdentity(options: IdentityOptions): Promise<ControlPlaneIdentity> {
  const { signal } = options;
  const dir = join(options.dir, 'pki');
  const [authority, frontProxyAuthority] = await Promise.all([
    createAuthority(dir, 'connection-budget-test', signal),
    createAuthority(join(dir, 'front-proxy'), 'connection-budget-test-front-proxy', signal),
  ]);
  const [serving, kubeletClient, frontProxyClient, tokenKeys] = await Promise.all([
    issueCertificate(
      authority,
      { name: 'apiserver', commonName: 'kube-apiserver', usage: 'Server', hosts: [...serviceNames, ...options.hosts] },
      signal,
    ),
    issueCertificate(
      authority,
      { name: 'apiserver-kubelet', commonName: 'kube-apiserver', organization: administrators, usage: 'Client' },
      signal,
    ),
    issueCertificate(
      frontProxyAuthority,
      { name: 'client', commonName: 'front-proxy-client', usage: 'Client' },
      signal,
    ),
    createTokenKeys(dir),
  ]);
  return { authority, frontProxyAuthority, frontProxyClient, serving, kubeletClient, tokenKeys };
}

export type ClientOptions = {
  readonly dir: string;
  readonly server: string;
  readonly authority: Authority;
  readonly signal: AbortSignal;
};

export type ClientIdentity = { readonly name: string; readonly user: string; readonly group?: string };

export const administrator: ClientIdentity = { name: 'admin', user: 'admin', group: administrators };
export const controllerManager: ClientIdentity = {
  name: 'kube-controller-manager',
  user: 'system:kube-controller-manager',
};
export const scheduler: ClientIdentity = { name: 'kube-scheduler', user: 'system:kube-scheduler' };
export const proxy: ClientIdentity = { name: 'kube-proxy', user: 'system:kube-proxy' };

/** Writes `<dir>/<name>.kubeconfig` for a client that the API server knows by its certificate; gives the file's path. */
export async function writeClientKubeconfig(identity: ClientIdentity, options: ClientOptions): Promise<string> {
  const organization = identity.group === undefined ? {} : { organization: identity.group };
  const request = { name: identity.name, commonName: identity.user, usage: 'Client', ...organization } as const;
  const client = await issueCertificate(options.authority, request, options.signal);
  const file = join(options.dir, `${identity.name}.kubeconfig`);
  return writeKubeconfig({ file, server: options.server, authority: options.authority, client });
}
