import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startApiServer, type ApiServer } from './lab/api-server.ts';
import { findDaemon, recordedDaemons } from './lab/process.ts';

const setUpTimeoutMs = 30 * 60_000;

let first: ApiServer;
let second: ApiServer;

beforeAll(async () => {
  first = await startInNewDirectory();
  second = await startInNewDirectory();
}, setUpTimeoutMs);

afterAll(async () => {
  await Promise.all([stopAndRemove(first), stopAndRemove(second)]);
}, 60_000);

test('a written ConfigMap is read back, and only from the API server it was written to', async () => {
  const body = { metadata: { name: 'written' }, data: { key: 'value' } };
  await apiOf(first).createNamespacedConfigMap({ namespace: 'default', body });

  const read = await apiOf(first).readNamespacedConfigMap({ namespace: 'default', name: 'written' });
  const elsewhere = apiOf(second).readNamespacedConfigMap({ namespace: 'default', name: 'written' });

  expect(read.data).toEqual({ key: 'value' });
  await expect(elsewhere).rejects.toMatchObject({ code: 404 });
});

test('a pod is admitted although nobody makes service accounts', async () => {
  const spec = { containers: [{ name: 'program', image: 'none' }] };
  const pod = await apiOf(first).createNamespacedPod({
    namespace: 'default',
    body: { metadata: { name: 'admitted' }, spec },
  });

  expect(pod.status?.phase).toBe('Pending');
});

test('a stopped API server leaves no process and no record', async () => {
  const server = await startInNewDirectory();
  expect([...recordedDaemons(server.dir)].toSorted()).toEqual(['etcd', 'kube-apiserver']);

  await server.stop();

  expect(recordedDaemons(server.dir)).toEqual([]);
  expect(findDaemon(server.dir, 'kube-apiserver')).toBeUndefined();
  await expect(fetch(`${server.url}/readyz`)).rejects.toThrow('fetch failed');
  await rm(server.dir, { recursive: true });
  expect(existsSync(server.dir)).toBe(false);
}, 60_000);

async function startInNewDirectory(): Promise<ApiServer> {
  return startApiServer({ dir: await mkdtemp(join(tmpdir(), 'api-server-')) });
}

async function stopAndRemove(server: ApiServer): Promise<void> {
  await server.stop();
  await rm(server.dir, { recursive: true });
}

function apiOf(server: ApiServer): CoreV1Api {
  const config = new KubeConfig();
  config.loadFromFile(server.kubeconfig);
  return config.makeApiClient(CoreV1Api);
}
