import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApiServer } from './api-server.ts';
import type { ComponentPaths } from './build.ts';
import { cniComponents, type nodeComponents } from './components.ts';
import { containerdAddress, importImage, startContainerd, writeCniConfig, type NodePlace } from './containerd.ts';
import type { TestImage } from './images.ts';
import { startKubeProxy } from './kube-proxy.ts';
import { startKubelet } from './kubelet.ts';
import type { NetworkPlan } from './network-plan.ts';
import { nodeFolder } from './node-mounts.ts';

export type NodeOptions = {
  readonly place: NodePlace;
  readonly paths: ComponentPaths<(typeof nodeComponents)[number]>;
  readonly nodeName: string;
  readonly plan: NetworkPlan;
  /** Both take a while: the runtime starts meanwhile. */
  readonly images: Promise<readonly TestImage[]>;
  readonly server: Promise<ApiServer>;
};

/** Starts the runtime, gives it the images, then the kubelet and kube-proxy. */
export async function startNode(options: NodeOptions): Promise<void> {
  const { place, paths, nodeName, plan } = options;
  await prepareCni(options);
  const [, images, server] = await Promise.all([startContainerd(place, paths), options.images, options.server]);
  await importImages(options, images);
  const { url, identity } = server;
  await startKubelet({ place, file: paths('kubelet'), nodeName, url, identity, plan });
  await startKubeProxy({ place, file: paths('kube-proxy'), nodeName, url, identity, podCidr: plan.podCidr });
}

async function prepareCni({ place, paths, plan }: NodeOptions): Promise<void> {
  const folder = nodeFolder(place.dir, '/opt/cni/bin');
  await mkdir(folder, { recursive: true });
  await Promise.all(cniComponents.map((name) => copyFile(paths(name), join(folder, name))));
  await writeCniConfig(nodeFolder(place.dir, '/etc/cni/net.d'), firstNodeRange(plan.podCidr));
}

async function importImages({ place, paths }: NodeOptions, images: readonly TestImage[]): Promise<void> {
  const address = containerdAddress(place.instance);
  await Promise.all(images.map(({ archive }) => importImage(paths('ctr'), address, { archive, signal: place.signal })));
}

/** What the controller-manager gives the first node: the first /24. 10.244.16.0/20 → 10.244.16.0/24 */
function firstNodeRange(podCidr: string): string {
  return podCidr.replace(/\/\d+$/, '/24');
}
