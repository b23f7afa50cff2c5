import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { type InstallOptions, installOperator } from './install-operator.ts';
import { type Cluster, clusterUp, kubectl } from './lab/cluster.ts';
import { clusterDown } from './lab/cluster-down.ts';
import { probeReference } from './lab/images.ts';

/** A cluster of one real node with the operator in it, for a test file of its own. */

const signal = new AbortController().signal;
const onProgress = (message: string): void => console.error(message);
export const progress = { signal, onProgress };

/**
 * For the whole of a test file: a cluster of its own with the operator, and the enabled namespace `planned`. `prepare` runs
 * before the installation. Gives the cluster once the tests run.
 */
export const useClusterWithOperator = (
  options: InstallOptions,
  prepare: (cluster: Cluster) => Promise<void> = () => Promise.resolve(),
): (() => Cluster) => {
  let folder = '';
  let cluster: Cluster | undefined;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'operator-'));
    cluster = await clusterUp({ dir: join(folder, 'cluster'), ...progress });
    await prepare(cluster);
    await installOperator(cluster, options, progress);
    await enabledNamespace(cluster, 'planned');
  }, 40 * 60_000);
  afterAll(async () => {
    await clusterDown({ dir: join(folder, 'cluster'), ...progress });
    await rm(folder, { recursive: true });
  }, 60_000);
  return () => {
    if (cluster === undefined) throw new Error('the cluster is there when the tests run');
    return cluster;
  };
};

const quickstart = new URL('../../examples/quickstart.yaml', import.meta.url);

export const applyQuickstart = async (cluster: Cluster): Promise<void> => {
  await kubectl(cluster, ['apply', '-f', '-'], { signal, input: readFileSync(quickstart, 'utf8') });
};

export const json = async (cluster: Cluster, args: readonly string[]): Promise<unknown> =>
  JSON.parse(await kubectl(cluster, ['get', ...args, '-o', 'json'], { signal }));

export interface ProbeSpec {
  readonly namespace: string;
  readonly app: string;
  readonly args: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly pod?: object;
}

/** A pod with the test program, labelled `app`; resolves when it is ready. */
export const startProbe = async (
  cluster: Cluster,
  { namespace, app, args, annotations, pod }: ProbeSpec,
): Promise<void> => {
  const readinessProbe = { httpGet: { path: '/readyz', port: 8081 }, periodSeconds: 1 };
  const container = { name: 'program', image: probeReference, imagePullPolicy: 'Never', args, readinessProbe };
  const manifest = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: app, namespace, labels: { app }, ...(annotations === undefined ? {} : { annotations }) },
    spec: { containers: [container], ...pod },
  };
  await kubectl(cluster, ['apply', '-f', '-'], { signal, input: JSON.stringify(manifest) });
  await kubectl(cluster, ['wait', '--for=condition=Ready', `pod/${app}`, '-n', namespace, '--timeout=120s'], {
    signal,
  });
};

/** A budget for the pods labelled `app`: so many inbound connections in one process of the container `program`. */
export const applyBudget = async (
  cluster: Cluster,
  { namespace, app, connections }: { readonly namespace: string; readonly app: string; readonly connections: number },
): Promise<void> => {
  const spec = {
    selector: { matchLabels: { app } },
    containers: [{ name: 'program', descriptors: { reserved: 64 } }],
    inbound: [{ name: 'in', port: 7000, connections, peakOpensPerSecond: 8000, listen: { backlog: 16_384 } }],
    headroomPercent: 0,
  };
  const manifest = {
    apiVersion: 'connectionbudget.io/v1alpha1',
    kind: 'ConnectionBudget',
    metadata: { name: app, namespace },
    spec,
  };
  await kubectl(cluster, ['apply', '-f', '-'], { signal, input: JSON.stringify(manifest) });
};

const enabledNamespace = async (cluster: Cluster, name: string): Promise<void> => {
  const labels = { 'connectionbudget.io/enabled': 'true' };
  const manifest = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
  await kubectl(cluster, ['apply', '-f', '-'], { signal, input: JSON.stringify(manifest) });
};
