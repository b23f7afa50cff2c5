/** A pod as a Deployment makes it, about 8 KiB as the API server sends it. */

const labels = { app: 'gateway', 'pod-template-hash': '6f7d8c9b5d' };

const owner = {
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  name: 'gateway-6f7d8c9b5d',
  controller: true,
} as const;

const settings = Array.from({ length: 15 }, (_, index) => ({
  name: `GATEWAY_SETTING_${index}`,
  value: `https://setting-${index}.internal.example/of/the/gateway?with=a&usual=length`,
}));

const fromDownwardApi = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });

const probe = (path: string) => ({ httpGet: { path, port: 'http' }, periodSeconds: 10, timeoutSeconds: 2 });

const program = {
  name: 'program',
  image: 'registry.example/messaging/gateway@sha256:0b7e2e648f0c4e468b4b3c9b5d6f2a110b7e2e648f0c4e468b4b3c9b5d6f2a11',
  args: ['--listen=0.0.0.0:11883', '--broker=broker.messaging.svc:1883', '--log-format=json'],
  env: [fromDownwardApi('POD_NAME', 'metadata.name'), fromDownwardApi('POD_IP', 'status.podIP'), ...settings],
  ports: [
    { name: 'mqtt', containerPort: 11_883 },
    { name: 'http', containerPort: 8080 },
  ],
  livenessProbe: probe('/healthz'),
  readinessProbe: probe('/readyz'),
  resources: { requests: { cpu: '2', memory: '4Gi' }, limits: { memory: '8Gi' } },
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, readOnlyRootFilesystem: true },
  volumeMounts: [
    { name: 'configuration', mountPath: '/etc/gateway' },
    { name: 'token', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
  ],
};

const exporter = {
  name: 'exporter',
  image: 'registry.example/messaging/exporter:1.4.2',
  ports: [{ name: 'metrics', containerPort: 9100 }],
  resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '64Mi' } },
};

const token = {
  name: 'token',
  projected: {
    sources: [
      { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    ],
  },
};

export const podOf = (ownerUid: string): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    generateName: 'gateway-6f7d8c9b5d-',
    labels,
    annotations: { 'checksum/configuration': '3c9b5d6f2a110b7e2e648f0c4e468b4b' },
    ownerReferences: [{ ...owner, uid: ownerUid }],
  },
  spec: {
    containers: [program, exporter],
    volumes: [{ name: 'configuration', configMap: { name: 'gateway' } }, token],
    serviceAccountName: 'gateway',
    terminationGracePeriodSeconds: 60,
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { app: 'gateway' } },
      },
    ],
  },
});

/** ReplicaSet and Deployment above it, which VPA looks for. */
export const workloads = (): { readonly deployment: object; readonly replicaSet: (uid: string) => object } => {
  const template = { metadata: { labels }, spec: { containers: [{ name: 'program', image: 'none' }] } };
  const spec = { replicas: 0, selector: { matchLabels: labels }, template };
  const deploymentOwner = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'gateway', controller: true };
  return {
    deployment: { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'gateway' }, spec },
    replicaSet: (uid) => ({
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: { name: owner.name, labels, ownerReferences: [{ ...deploymentOwner, uid }] },
      spec,
    }),
  };
};

/** What the API server asks webhooks about a pod that it was given. */
export const reviewOf = (pod: object): object => {
  const kind = { group: '', version: 'v1', kind: 'Pod' };
  const resource = { group: '', version: 'v1', resource: 'pods' };
  const request = {
    uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
    kind,
    resource,
    requestKind: kind,
    requestResource: resource,
    namespace: 'messaging',
    operation: 'CREATE',
    userInfo: { username: 'system:serviceaccount:kube-system:replicaset-controller', groups: ['system:authenticated'] },
    object: pod,
    oldObject: null,
    dryRun: false,
    options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
  };
  return { kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request };
};
