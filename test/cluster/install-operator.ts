import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { ensureImage, type Image } from '../../deploy/image.ts';
import type { SpreadSetting } from '../../src/agent/pod-spread.ts';
import { canRaiseNofile, readEffectiveCapabilities } from '../../src/linux/capabilities.ts';
import { ensureComponents } from './lab/build.ts';
import { type Cluster, importImage, kubectl } from './lab/cluster.ts';
import { run } from './lab/command.ts';
import type { Progress } from './lab/debian.ts';
import { waitFor } from './lab/wait.ts';

/** Installs the operator of this checkout into the cluster, as a user would: by the chart, or by the one rendered file. */

export interface InstallOptions {
  readonly by: 'Chart' | 'Manifests';
  /** Nodes with this label are told to have all capabilities: the chart's second DaemonSet is for them. */
  readonly capableNodes?: string;
  /** agent.spread.mode of the chart. */
  readonly spread?: SpreadSetting['mode'];
}

const namespace = 'connectionbudget-system';
const repository = 'connectionbudget.io/connection-budget';
const deployFolder = join(import.meta.dirname, '..', '..', 'deploy');

const allCapabilities = ['SYS_ADMIN', 'SYS_PTRACE', 'NET_ADMIN', 'SYS_RESOURCE'];

/** A container that asks for a capability that its node's root lacks does not start. */
const agentCapabilities = (): readonly string[] => {
  const may = canRaiseNofile(readEffectiveCapabilities());
  return allCapabilities.filter((capability) => may || capability !== 'SYS_RESOURCE');
};

const tagOf = ({ reference }: Pick<Image, 'reference'>): string => reference.slice(reference.lastIndexOf(':') + 1);

const chartValues = (image: Installation['image'], { capableNodes, spread = 'pod-cgroup' }: InstallOptions): object => {
  const variant = { name: 'capable', nodeSelector: { [capableNodes ?? '']: 'true' }, capabilities: allCapabilities };
  const variants = capableNodes === undefined ? [] : [variant];
  return {
    image: { tag: tagOf(image) },
    agent: { capabilities: agentCapabilities(), variants, spread: { mode: spread } },
  };
};

interface Installation {
  readonly cluster: Cluster;
  readonly image: Pick<Image, 'reference'>;
  readonly options: InstallOptions;
}

const installChart = async ({ cluster, image, options }: Installation, progress: Progress): Promise<void> => {
  const paths = await ensureComponents(['helm'], progress);
  const folder = await mkdtemp(join(tmpdir(), 'connection-budget-chart-'));
  try {
    const values = join(folder, 'values.yaml');
    await writeFile(values, stringify(chartValues(image, options)));
    const target = ['--kubeconfig', cluster.kubeconfig, '--namespace', namespace, '--create-namespace'];
    const chart = join(deployFolder, 'chart');
    await run(
      paths('helm'),
      ['upgrade', '--install', 'connectionbudget', chart, ...target, '--values', values],
      progress,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
};

/** The rendered file with this checkout's image and what this machine's root may: an overlay, as a user would write it. */
const overlayFor = (image: Installation['image']): object => ({
  resources: ['install.yaml'],
  images: [{ name: repository, newTag: tagOf(image) }],
  patches: [
    {
      target: { kind: 'DaemonSet' },
      patch: JSON.stringify([
        {
          op: 'replace',
          path: '/spec/template/spec/containers/0/securityContext/capabilities/add',
          value: agentCapabilities(),
        },
      ]),
    },
  ],
});

const installManifests = async ({ cluster, image }: Installation, { signal }: Progress): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'connection-budget-manifests-'));
  try {
    await writeFile(join(folder, 'install.yaml'), await readFile(join(deployFolder, 'install.yaml')));
    await writeFile(join(folder, 'kustomization.yaml'), stringify(overlayFor(image)));
    await kubectl(cluster, ['apply', '--server-side', '-k', folder], { signal });
  } finally {
    await rm(folder, { recursive: true });
  }
};

/** An emulated node on a loaded machine takes minutes to start its agent. */
const rolloutTimeout = '300s';

const rolledOut = async (cluster: Cluster, { signal }: Progress): Promise<void> => {
  const rollout = ['rollout', 'status', '--namespace', namespace, `--timeout=${rolloutTimeout}`];
  await kubectl(cluster, [...rollout, 'deployment', '--selector=app.kubernetes.io/component=controller'], { signal });
  await kubectl(cluster, [...rollout, 'daemonset', '--selector=app.kubernetes.io/component=agent'], { signal });
};

const nodeList = z.object({
  items: z.array(
    z.object({ status: z.object({ agent: z.object({ keyIds: z.array(z.string()) }).optional() }).optional() }),
  ),
});

/** Every node has an agent, and the first public key reaches it when its kubelet looks at the ConfigMap again. */
const keysArrived = (cluster: Cluster, { signal }: Progress): Promise<unknown> =>
  waitFor(
    'every agent knows the key of the webhook',
    async () => {
      const nodes = await kubectl(cluster, ['get', 'nodes', '-o', 'name'], { signal });
      const text = await kubectl(cluster, ['get', 'connectionnodes', '-o', 'json'], { signal });
      const { items } = nodeList.parse(JSON.parse(text));
      const informed = items.filter(({ status }) => (status?.agent?.keyIds.length ?? 0) > 0);
      return informed.length === nodes.trim().split('\n').length;
    },
    { signal, timeoutMs: 120_000, intervalMs: 500 },
  );

/** Builds the image where it changed, gives it to the node, installs, and waits until every part is ready. */
export const installOperator = async (
  cluster: Cluster,
  options: InstallOptions,
  progress: Progress,
): Promise<Image> => {
  const image = await ensureImage(progress);
  progress.onProgress(`installing the operator by ${options.by === 'Chart' ? 'the chart' : 'deploy/install.yaml'}`);
  await importImage(cluster, image.archive, progress.signal);
  await (options.by === 'Chart' ? installChart : installManifests)({ cluster, image, options }, progress);
  await rolledOut(cluster, progress);
  await keysArrived(cluster, progress);
  return image;
};

/** The chart again, with an image that the node has already; resolves when every part of it runs. */
export const upgradeChart = async (
  cluster: Cluster,
  { image, options }: { readonly image: Pick<Image, 'reference'>; readonly options: InstallOptions },
  progress: Progress,
): Promise<void> => {
  await installChart({ cluster, image, options }, progress);
  await rolledOut(cluster, progress);
};

/** Takes away what the chart installed; the CRDs, and so the budgets, stay. */
export const uninstallChart = async (cluster: Cluster, progress: Progress): Promise<void> => {
  const paths = await ensureComponents(['helm'], progress);
  const target = ['--kubeconfig', cluster.kubeconfig, '--namespace', namespace, '--wait', '--timeout', '60s'];
  await run(paths('helm'), ['uninstall', 'connectionbudget', ...target], progress);
};
