import type { ControlPlaneIdentity } from './control-plane-identity.ts';

export type ApiServerFlags = {
  readonly identity: ControlPlaneIdentity;
  readonly etcdUrl: string;
  readonly listen: { readonly address: string; readonly port: number };
  readonly serviceCidr: string;
  readonly extraArguments: readonly string[];
};

/** kube-apiserver's command line: its default admission plugins and NodeRestriction, RBAC, aggregation. */
export function apiServerArguments(flags: ApiServerFlags): readonly string[] {
  const { identity, listen } = flags;
  return [
    `--bind-address=${listen.address}`,
    `--advertise-address=${listen.address}`,
    `--secure-port=${listen.port}`,
    `--etcd-servers=${flags.etcdUrl}`,
    `--service-cluster-ip-range=${flags.serviceCidr}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    '--v=1',
    ...servingArguments(identity),
    ...tokenArguments(identity),
    ...kubeletArguments(identity),
    ...aggregationArguments(identity),
    ...flags.extraArguments,
  ];
}

function servingArguments({ serving, authority }: ControlPlaneIdentity): readonly string[] {
  return [
    `--client-ca-file=${authority.certificateFile}`,
    `--tls-cert-file=${serving.certificateFile}`,
    `--tls-private-key-file=${serving.keyFile}`,
  ];
}

function tokenArguments({ tokenKeys }: ControlPlaneIdentity): readonly string[] {
  return [
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${tokenKeys.publicFile}`,
    `--service-account-signing-key-file=${tokenKeys.keyFile}`,
  ];
}

function kubeletArguments({ kubeletClient, authority }: ControlPlaneIdentity): readonly string[] {
  return [
    `--kubelet-client-certificate=${kubeletClient.certificateFile}`,
    `--kubelet-client-key=${kubeletClient.keyFile}`,
    `--kubelet-certificate-authority=${authority.certificateFile}`,
    '--kubelet-preferred-address-types=InternalIP',
  ];
}

function aggregationArguments({ frontProxyAuthority, frontProxyClient }: ControlPlaneIdentity): readonly string[] {
  return [
    `--requestheader-client-ca-file=${frontProxyAuthority.certificateFile}`,
    '--requestheader-allowed-names=front-proxy-client',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-username-headers=X-Remote-User',
    `--proxy-client-cert-file=${frontProxyClient.certificateFile}`,
    `--proxy-client-key-file=${frontProxyClient.keyFile}`,
  ];
}
