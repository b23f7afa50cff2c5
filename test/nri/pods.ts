/** A pod and its container as a runtime describes them, in protobuf's JSON. */
export const pod = {
  id: 'sandbox-1',
  name: 'gateway-0',
  uid: 'a-uid',
  namespace: 'messaging',
  labels: { app: 'gateway' },
  annotations: { key: 'value' },
  linux: { namespaces: [{ type: 'network', path: '/var/run/netns/cni-1' }] },
  pid: 41,
  ips: ['10.0.0.2', 'fd00::2'],
};
export const container = {
  id: 'container-1',
  pod_sandbox_id: 'sandbox-1',
  name: 'gateway',
  state: 'CONTAINER_CREATED',
  labels: { a: 'b' },
  annotations: { c: 'd' },
  pid: 42,
  rlimits: [{ type: 'RLIMIT_NOFILE', hard: '524288', soft: '1024' }],
};
