/**
 * What the test cluster is made of, at pinned versions, and how each is built from Go modules alone:
 *
 * | recipe     | when                                                                                        |
 * |------------|---------------------------------------------------------------------------------------------|
 * | Kubernetes | its module replaces staging modules by folders: we replace them by their published twins      |
 * | Required   | a module with replace lines, which `go install` refuses: required from an empty module        |
 * | Installed  | plain `go install PACKAGE@VERSION`                                                           |
 */
type Recipe =
  | { readonly kind: 'Kubernetes' }
  | { readonly kind: 'Required'; readonly package: string }
  | { readonly kind: 'Installed'; readonly package: string; readonly cgo?: true; readonly tags?: string };

export type Component = {
  /** The part of the cache's folder name before the version; several components may share it. */
  readonly project: string;
  readonly version: string;
  readonly recipe: Recipe;
  /** Measured on two cores with cold caches: only for the progress line. */
  readonly coldSeconds: number;
};

const kubernetesVersion = '1.36.3';
const cniPlugins = 'github.com/containernetworking/plugins/plugins';
const containerdCommands = 'github.com/containerd/containerd/v2/cmd';

export const components = {
  etcd: {
    project: 'etcd',
    version: '3.7.3',
    recipe: { kind: 'Required', package: 'go.etcd.io/etcd/server/v3' },
    coldSeconds: 33,
  },
  'kube-apiserver': kubernetes(272),
  'kube-controller-manager': kubernetes(49),
  'kube-scheduler': kubernetes(9),
  'kube-proxy': kubernetes(13),
  kubelet: kubernetes(80),
  kubectl: kubernetes(47),
  containerd: containerd('containerd', 133),
  'containerd-shim-runc-v2': containerd('containerd-shim-runc-v2', 4),
  ctr: containerd('ctr', 13),
  runc: {
    project: 'runc',
    version: '1.5.2',
    recipe: { kind: 'Installed', package: 'github.com/opencontainers/runc', cgo: true, tags: 'seccomp' },
    coldSeconds: 40,
  },
  bridge: cniPlugin('main/bridge', 12),
  ptp: cniPlugin('main/ptp', 1),
  loopback: cniPlugin('main/loopback', 1),
  macvlan: cniPlugin('main/macvlan', 1),
  'host-local': cniPlugin('ipam/host-local', 1),
  static: cniPlugin('ipam/static', 1),
  portmap: cniPlugin('meta/portmap', 1),
  sbr: cniPlugin('meta/sbr', 1),
  coredns: {
    project: 'coredns',
    version: '1.15.0',
    recipe: { kind: 'Installed', package: 'github.com/coredns/coredns' },
    coldSeconds: 235,
  },
  helm: {
    project: 'helm',
    version: '3.22.0',
    recipe: { kind: 'Installed', package: 'helm.sh/helm/v3/cmd/helm' },
    coldSeconds: 390,
  },
} as const satisfies Record<string, Component>;

export type ComponentName = keyof typeof components;

export const apiServerComponents = ['etcd', 'kube-apiserver', 'kube-controller-manager'] as const;
export const cniComponents = ['bridge', 'loopback', 'macvlan', 'host-local', 'static', 'portmap', 'sbr'] as const;
export const nodeComponents = [
  ...apiServerComponents,
  'kube-scheduler',
  'kubelet',
  'kubectl',
  'kube-proxy',
  'containerd',
  'containerd-shim-runc-v2',
  'ctr',
  'runc',
  ...cniComponents,
  'coredns',
] as const;

function kubernetes(coldSeconds: number) {
  return { project: 'kubernetes', version: kubernetesVersion, recipe: { kind: 'Kubernetes' }, coldSeconds } as const;
}

function containerd(command: string, coldSeconds: number) {
  const recipe = { kind: 'Installed', package: `${containerdCommands}/${command}` } as const;
  return { project: 'containerd', version: '2.4.2', recipe, coldSeconds } as const;
}

function cniPlugin(path: string, coldSeconds: number) {
  const recipe = { kind: 'Installed', package: `${cniPlugins}/${path}` } as const;
  return { project: 'cni-plugins', version: '1.9.1', recipe, coldSeconds } as const;
}
