import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { ensureImage, type Image } from '../../deploy/image.ts';
import { canRaiseNofile, readEffectiveCapabilities } from '../../src/linux/capabilities.ts';
import { ensureComponents } from './lab/build.ts';
import { type Cluster, importImage, kubectl } from './lab/cluster.ts';
import { run } from './lab/command.ts';
import type { Progress } from './lab/debian.ts';

/** Installs the operator of this checkout into the cluster, as a user would: by the chart, or by the one rendered file. */

export type InstallBy = 'Chart' | 'Manifests';

const namespace = 'connectionbudget-system';
const repository = 'connectionbudget.io/connection-budget';
const deployFolder = join(import.meta.dirname, '..', '..', 'deploy');

/** A container that asks for a capability that its node's root lacks does not start. */
const agentCapabilities = (): readonly string[] => {
  const always = ['SYS_ADMIN', 'SYS_PTRACE', 'NET_ADMIN'];
  return canRaiseNofile(readEffectiveCapabilities()) ? [...always, 'SYS_RESOURCE'] : always;
};

const tagOf = ({ reference }: Image): string => reference.slice(reference.lastIndexOf(':') + 1);

const installChart = async (cluster: Cluster, image: Image, progress: Progress): Promise<void> => {
  const paths = await ensureComponents(['helm'], progress);
  const folder = await mkdtemp(join(tmpdir(), 'connection-budget-chart-'));
  try {
    const values = join(folder, 'values.yaml');
    await writeFile(values, stringify({ image: { tag: tagOf(image) }, agent: { capabilities: agentCapabilities() } }));
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
const overlayFor = (image: Image): object => ({
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

const installManifests = async (cluster: Cluster, image: Image, { signal }: Progress): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'connection-budget-manifests-'));
  try {
    await writeFile(join(folder, 'install.yaml'), await readFile(join(deployFolder, 'install.yaml')));
    await writeFile(join(folder, 'kustomization.yaml'), stringify(overlayFor(image)));
    await kubectl(cluster, ['apply', '--server-side', '-k', folder], { signal });
  } finally {
    await rm(folder, { recursive: true });
  }
};

const rolledOut = async (cluster: Cluster, { signal }: Progress): Promise<void> => {
  const rollout = ['rollout', 'status', '--namespace', namespace, '--timeout=120s'];
  await kubectl(cluster, [...rollout, 'deployment', '--selector=app.kubernetes.io/component=controller'], { signal });
  await kubectl(cluster, [...rollout, 'daemonset', '--selector=app.kubernetes.io/component=agent'], { signal });
};

/** Builds the image where it changed, gives it to the node, installs, and waits until every part is ready. */
export const installOperator = async (cluster: Cluster, by: InstallBy, progress: Progress): Promise<Image> => {
  const image = await ensureImage(progress);
  progress.onProgress(`installing the operator by ${by === 'Chart' ? 'the chart' : 'deploy/install.yaml'}`);
  await importImage(cluster, image.archive, progress.signal);
  await (by === 'Chart' ? installChart : installManifests)(cluster, image, progress);
  await rolledOut(cluster, progress);
  return image;
};
