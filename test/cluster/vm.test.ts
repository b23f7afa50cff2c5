import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clusterUp, kubectl, type Cluster } from './lab/cluster.ts';
import { clusterDown } from './lab/cluster-down.ts';
import { probeReference } from './lab/images.ts';
import { startVmNode } from './lab/vm.ts';
import { vmLabel } from './lab/vm-init.ts';

const signal = new AbortController().signal;
const onProgress = (message: string) => console.error(message);

let dir: string;
let cluster: Cluster;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cluster-'));
  cluster = await clusterUp({ dir: join(dir, 'cluster'), signal, onProgress });
  await startVmNode(cluster, { archives: [], signal, onProgress });
}, 40 * 60_000);

afterAll(async () => {
  await clusterDown({ dir: join(dir, 'cluster'), signal, onProgress });
  await rm(dir, { recursive: true });
}, 60_000);

test('a pod on the emulated node has a hard limit of 524288', async () => {
  const readinessProbe = { httpGet: { path: '/readyz', port: 8081 }, periodSeconds: 1 };
  const args = ['listen', '7000', '1'];
  const container = { name: 'program', image: probeReference, imagePullPolicy: 'Never', args, readinessProbe };
  const tolerations = [{ key: vmLabel, operator: 'Exists' }];
  const spec = { containers: [container], nodeSelector: { [vmLabel]: 'true' }, tolerations };
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'emulated' }, spec };
  await kubectl(cluster, ['apply', '-f', '-'], { signal, input: JSON.stringify(pod) });
  await kubectl(cluster, ['wait', '--for=condition=Ready', 'pod/emulated', '--timeout=120s'], { signal });
  const address = await kubectl(cluster, ['get', 'pod', 'emulated', '-o', 'jsonpath={.status.podIP}'], { signal });

  const report = await (await fetch(`http://${address}:8081/`)).json();

  expect(report).toMatchObject({ workers: [{ softNofile: 1024, hardNofile: 524_288 }] });
}, 180_000);
