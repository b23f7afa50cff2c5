import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { containerdAddress, onNode, splitCommand, type NodePlace } from './containerd.ts';
import { writeClientKubeconfig } from './control-plane-identity.ts';
import type { ControlPlaneIdentity } from './control-plane-identity.ts';
import type { NetworkPlan } from './network-plan.ts';
import { sharedRunFolder } from './machine.ts';
import { issueCertificate, type Authority } from './pki.ts';
import { startDaemon } from './process.ts';

export type KubeletOptions = {
  readonly place: NodePlace;
  readonly file: string;
  readonly nodeName: string;
  readonly url: string;
  readonly identity: ControlPlaneIdentity;
  readonly plan: NetworkPlan;
};

/** A kubelet of default settings, but for what this machine does not allow or have; it refuses all unsafe sysctls. */
export async function startKubelet(options: KubeletOptions): Promise<void> {
  const { place, nodeName, url, identity, plan } = options;
  const { dir, signal } = place;
  const { kubeconfig, serving } = await issueKubeletIdentity({
    authority: identity.authority,
    nodeName,
    address: plan.nodeAddress,
    server: url,
    dir,
    signal,
  });
  const resolvConf = join(sharedRunFolder(place.instance), 'resolv.conf');
  await writeFile(resolvConf, '');
  const config = join(dir, 'kubelet.json');
  const settings = {
    ...kubeletSettings({ dnsAddress: plan.dnsAddress, clientCaFile: identity.authority.certificateFile }),
    address: plan.nodeAddress,
    tlsCertFile: serving.certificateFile,
    tlsPrivateKeyFile: serving.keyFile,
    containerRuntimeEndpoint: `unix://${containerdAddress(place.instance)}`,
    resolvConf,
    cgroupRoot: `/${place.instance}`,
    failCgroupV1: false,
    // Negative scores need CAP_SYS_RESOURCE.
    oomScoreAdj: 0,
  };
  await writeFile(config, JSON.stringify(settings, undefined, 2));
  const flags = [`--config=${config}`, `--kubeconfig=${kubeconfig}`, `--hostname-override=${nodeName}`];
  const command = onNode(place, [options.file, ...flags, `--node-ip=${plan.nodeAddress}`, '--v=2']);
  await startDaemon(dir, { name: 'kubelet', ...splitCommand(command), lifetime: 'Detached' });
}

export type KubeletIdentityOptions = {
  readonly authority: Authority;
  readonly nodeName: string;
  readonly address: string;
  readonly server: string;
  readonly dir: string;
  readonly signal: AbortSignal;
};

export async function issueKubeletIdentity(options: KubeletIdentityOptions) {
  const { authority, nodeName, address, server, dir, signal } = options;
  const client = { name: nodeName, user: `system:node:${nodeName}`, group: 'system:nodes' };
  const request = { name: `${nodeName}-serving`, commonName: nodeName, usage: 'Server' } as const;
  const [kubeconfig, serving] = await Promise.all([
    writeClientKubeconfig(client, { dir, server, authority, signal }),
    issueCertificate(authority, { ...request, hosts: [nodeName, address] }, signal),
  ]);
  return { kubeconfig, serving };
}

/** What both kinds of node have in common. */
export function kubeletSettings(options: { readonly dnsAddress: string; readonly clientCaFile: string }) {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    cgroupDriver: 'cgroupfs',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: options.clientCaFile },
    },
    authorization: { mode: 'Webhook' },
    clusterDomain: 'cluster.local',
    clusterDNS: [options.dnsAddress],
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    nodeStatusUpdateFrequency: '5s',
  };
}
