import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { run } from './lab/command.ts';
import { clusterUp, kubectl, type Cluster } from './lab/cluster.ts';
import { clusterDown } from './lab/cluster-down.ts';
import { probeReference } from './lab/images.ts';
import { readMachineSysctls } from './lab/machine-sysctls.ts';
import { restartDaemon } from './lab/process.ts';
import { readMarks } from './marks.ts';

const signal = new AbortController().signal;
const onProgress = (message: string) => console.error(message);
// Standard input, output and error, the listener, epoll.
const ownDescriptors = 5;
const reportSchema = z.object({
  held: z.number(),
  limitReached: z.boolean(),
  errnoName: z.string(),
  workers: z.array(z.object({ descriptors: z.number(), softNofile: z.number(), hardNofile: z.number() })),
});

let dir: string;
let sysctlsBefore: Readonly<Record<string, string>>;
let cniBefore: boolean;
let cluster: Cluster;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cluster-'));
  sysctlsBefore = await readMachineSysctls();
  cniBefore = existsSync('/opt/cni');
  cluster = await clusterUp({ dir: join(dir, 'cluster'), signal, onProgress });
}, 40 * 60_000);

afterAll(async () => {
  await clusterDown({ dir: join(dir, 'cluster'), signal, onProgress });
  await rm(dir, { recursive: true });
}, 60_000);

test('a program that keeps to its soft limit stops at 1024 descriptors in a pod', async () => {
  await applyProbe('server', ['listen', '7000', '1']);
  const address = await podAddress('server');
  await applyProbe('client', ['connect', address, '7000', '1500', '2']);

  await expect.poll(() => reportOf('server'), { timeout: 20_000 }).toMatchObject({ limitReached: true });

  const report = await reportOf('server');
  expect(report).toMatchObject({ held: 1024 - ownDescriptors, errnoName: 'EMFILE' });
  expect(report.workers).toMatchObject([{ descriptors: 1024, softNofile: 1024 }]);
}, 60_000);

test('a peer outside the cluster reaches a pod, and a pod reaches it', async () => {
  await applyProbe('inside', ['listen', '7000', '1']);
  const url = `http://${await podAddress('inside')}:8081/readyz`;
  const answer = await run('nsenter', [`--net=${cluster.outsideNamespace}`, 'curl', '-sS', url], { signal });
  expect(answer).toBe('ready\n');

  await applyProbe('outbound', ['connect', cluster.network.outsideAddress, '7', '1', '1']);
  await expect.poll(() => reportOf('outbound'), { timeout: 20_000 }).toMatchObject({ errnoName: 'ECONNREFUSED' });
}, 60_000);

test('a second clusterUp gives the running cluster', async () => {
  const again = await clusterUp({ dir: cluster.dir, signal, onProgress });

  expect(again.kubeconfig).toBe(cluster.kubeconfig);
  expect(await kubectl(again, ['get', 'nodes', '-o', 'name'], { signal })).toBe('node/node-1\n');
});

test('a restart of containerd leaves pods running, and new ones start', async () => {
  await applyProbe('survivor', ['listen', '7000', '1']);

  await restartDaemon(cluster.dir, 'containerd');
  await applyProbe('newcomer', ['listen', '7000', '1']);

  const restarts = 'jsonpath={.status.containerStatuses[0].restartCount}';
  expect(await kubectl(cluster, ['get', 'pod', 'survivor', '-o', restarts], { signal })).toBe('0');
  expect(await reportOf('survivor')).toMatchObject({ held: 0, limitReached: false });
}, 90_000);

test('after clusterDown the machine is as it was', async () => {
  const marks = await readMarks(cluster);
  expect(marks.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['cgroup', 'folder', 'link', 'process']));

  await clusterDown({ dir: cluster.dir, signal, onProgress });

  // Killed processes stay in the table until the machine's init has fetched their status.
  await expect.poll(() => readMarks(cluster), { timeout: 20_000 }).toEqual([]);
  expect(await readMachineSysctls()).toEqual(sysctlsBefore);
  expect(existsSync('/opt/cni')).toBe(cniBefore);
}, 60_000);

async function applyProbe(name: string, args: readonly string[]): Promise<void> {
  const readinessProbe = { httpGet: { path: '/readyz', port: 8081 }, periodSeconds: 1 };
  const container = { name, image: probeReference, imagePullPolicy: 'Never', args, readinessProbe };
  const spec = { containers: [container], terminationGracePeriodSeconds: 0 };
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec };
  await kubectl(cluster, ['apply', '-f', '-'], { signal, input: JSON.stringify(pod) });
  await kubectl(cluster, ['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=30s'], { signal });
}

function podAddress(name: string): Promise<string> {
  return kubectl(cluster, ['get', 'pod', name, '-o', 'jsonpath={.status.podIP}'], { signal });
}

async function reportOf(name: string): Promise<z.infer<typeof reportSchema>> {
  const response = await fetch(`http://${await podAddress(name)}:8081/`);
  return reportSchema.parse(await response.json());
}
