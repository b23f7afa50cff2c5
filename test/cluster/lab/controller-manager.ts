import { controllerManager, scheduler, writeClientKubeconfig } from './control-plane-identity.ts';
import type { ClientIdentity, ControlPlaneIdentity } from './control-plane-identity.ts';
import { startDaemon, type DaemonSpec } from './process.ts';

export type ControllerOptions = {
  readonly dir: string;
  readonly file: string;
  readonly url: string;
  readonly identity: ControlPlaneIdentity;
  readonly lifetime: DaemonSpec['lifetime'];
  readonly signal: AbortSignal;
};

type Networks = { readonly serviceCidr: string; readonly podCidr: string | undefined };

export async function startControllerManager(
  options: ControllerOptions & { readonly networks: Networks },
): Promise<void> {
  const { authority, tokenKeys } = options.identity;
  const { serviceCidr, podCidr } = options.networks;
  const nodeRanges = podCidr === undefined ? [] : ['--allocate-node-cidrs', `--cluster-cidr=${podCidr}`];
  await startController(controllerManager, options, [
    `--root-ca-file=${authority.certificateFile}`,
    `--service-account-private-key-file=${tokenKeys.keyFile}`,
    `--cluster-signing-cert-file=${authority.certificateFile}`,
    `--cluster-signing-key-file=${authority.keyFile}`,
    `--service-cluster-ip-range=${serviceCidr}`,
    '--use-service-account-credentials',
    ...nodeRanges,
  ]);
}

export async function startScheduler(options: ControllerOptions): Promise<void> {
  await startController(scheduler, options, []);
}

async function startController(
  identity: ClientIdentity,
  options: ControllerOptions,
  flags: readonly string[],
): Promise<void> {
  const client = { dir: options.dir, server: options.url, authority: options.identity.authority };
  const kubeconfig = await writeClientKubeconfig(identity, { ...client, signal: options.signal });
  // Secure port 0: nobody asks these for anything, and it spares two ports.
  const args = [`--kubeconfig=${kubeconfig}`, '--leader-elect=false', '--secure-port=0', '--v=1', ...flags];
  await startDaemon(options.dir, { name: identity.name, file: options.file, args, lifetime: options.lifetime });
}
