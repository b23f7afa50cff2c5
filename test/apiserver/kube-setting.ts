import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { readKubeConfig } from '../../src/kube/kube-config.ts';
import { type ConfigMap, configMaps, namespaces, type Target } from '../../src/kube/resources.ts';
import { type ApiServer, type ApiServerOptions, startApiServer } from '../cluster/lab/api-server.ts';
import { type FaultProxy, startFaultProxy } from '../kube/fault-proxy.ts';

/** A real API server for the tests of one file, a proxy before it, and a client that goes around the proxy. */
export interface KubeSetting {
  server: ApiServer;
  proxy: FaultProxy;
  direct: KubeClient;
}

export const call = { signal: new AbortController().signal } as const;
export const namespace = 'kube-test';

export function useKubeSetting(options: Omit<ApiServerOptions, 'dir'> = {}): KubeSetting {
  const setting: Partial<KubeSetting> = {};
  let dir = '';
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kube-'));
    setting.server = await startApiServer({ ...options, dir });
    setting.proxy = await startFaultProxy(setting.server.kubeconfig);
    setting.direct = createKubeClient(readKubeConfig(setting.server.kubeconfig));
    await setting.direct.create(namespaces, { metadata: { name: namespace } }, call);
  }, 600_000);
  // A second try begins as the first did.
  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail') return;
    const { items } = await setting.direct!.list(configMaps, { namespace, metadataOnly: true }, call);
    for (const { metadata } of items) await setting.direct!.delete(configMapTarget(metadata?.name ?? ''), call);
  });
  afterAll(async () => {
    await setting.direct?.close();
    await setting.proxy?.close();
    await setting.server?.stop();
    await rm(dir, { recursive: true, force: true });
  }, 60_000);
  return setting as KubeSetting;
}

export function configMap(name: string, value: string): ConfigMap {
  return { metadata: { name, namespace }, data: { value } };
}

export function configMapTarget(name: string): Target<ConfigMap> {
  return { resource: configMaps, namespace, name };
}
