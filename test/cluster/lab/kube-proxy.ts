import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onNode, splitCommand, type NodePlace } from './containerd.ts';
import { proxy, writeClientKubeconfig } from './control-plane-identity.ts';
import type { ControlPlaneIdentity } from './control-plane-identity.ts';
import { startDaemon } from './process.ts';

export type KubeProxyOptions = {
  readonly place: NodePlace;
  readonly file: string;
  readonly nodeName: string;
  readonly url: string;
  readonly identity: ControlPlaneIdentity;
  readonly podCidr: string;
};

export async function startKubeProxy(options: KubeProxyOptions): Promise<void> {
  const { place, nodeName, url, identity, podCidr } = options;
  const client = { dir: place.dir, server: url, authority: identity.authority, signal: place.signal };
  const kubeconfig = await writeClientKubeconfig(proxy, client);
  const config = join(place.dir, 'kube-proxy.json');
  const settings = {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    clusterCIDR: podCidr,
    hostnameOverride: nodeName,
    clientConnection: { kubeconfig },
    // The maximum is the machine's and read-only in a network namespace.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    oomScoreAdj: 0,
    healthzBindAddress: '127.0.0.1:10256',
    metricsBindAddress: '127.0.0.1:10249',
  };
  await writeFile(config, JSON.stringify(settings, undefined, 2));
  const command = onNode(place, [options.file, `--config=${config}`, '--v=1']);
  await startDaemon(place.dir, { name: 'kube-proxy', ...splitCommand(command), lifetime: 'Detached' });
}
