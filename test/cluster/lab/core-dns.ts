import { coreDnsReference } from './images.ts';

const name = 'coredns';
const namespace = 'kube-system';
const labels = { 'k8s-app': 'kube-dns' };
const corefile = `.:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa
    cache 30
}
`;

/** The cluster's name server and the service that pods ask, as a list for `kubectl apply`. It forwards nothing. */
export function coreDnsManifest(address: string): object {
  const items = [...accessObjects(), configMap(), deployment(), service(address)];
  return { apiVersion: 'v1', kind: 'List', items };
}

function accessObjects(): readonly object[] {
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const roleName = 'system:coredns';
  const verbs = ['list', 'watch'];
  const rules = [
    { apiGroups: [''], resources: ['services', 'pods', 'namespaces'], verbs },
    { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs },
  ];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: roleName };
  const subjects = [{ kind: 'ServiceAccount', name, namespace }];
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } },
    { apiVersion, kind: 'ClusterRole', metadata: { name: roleName }, rules },
    { apiVersion, kind: 'ClusterRoleBinding', metadata: { name: roleName }, roleRef, subjects },
  ];
}

function configMap(): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data: { Corefile: corefile } };
}

function deployment(): object {
  const container = {
    name,
    image: coreDnsReference,
    imagePullPolicy: 'Never',
    args: ['-conf', '/etc/coredns/Corefile'],
    readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 1 },
    volumeMounts: [{ name: 'config', mountPath: '/etc/coredns' }],
  };
  const volumes = [{ name: 'config', configMap: { name } }];
  const spec = { serviceAccountName: name, dnsPolicy: 'Default', containers: [container], volumes };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: { replicas: 1, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  };
}

function service(address: string): object {
  const ports = [
    { name: 'dns', port: 53, protocol: 'UDP' },
    { name: 'dns-tcp', port: 53, protocol: 'TCP' },
  ];
  const spec = { clusterIP: address, selector: labels, ports };
  return { apiVersion: 'v1', kind: 'Service', metadata: { name: 'kube-dns', namespace }, spec };
}
