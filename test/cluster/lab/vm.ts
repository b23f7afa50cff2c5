import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitUntilNodeReady, type Cluster } from './cluster.ts';
import { run } from './command.ts';
import { splitCommand } from './containerd.ts';
import { ensureRequirements, virtualMachineRequirements, type Progress } from './debian.ts';
import { issueKubeletIdentity, kubeletSettings } from './kubelet.ts';
import { inNamespace } from './network.ts';
import { findDaemon, startDaemon } from './process.ts';
import { makeInitialRamDisk } from './vm-initrd.ts';
import { vmLabel } from './vm-init.ts';
import { ensureVmKernel } from './vm-kernel.ts';
import { makeVmDisk } from './vm-root.ts';

const vmNodeName = 'node-vm';

export type VmOptions = Progress & {
  /** docker-archives of images that pods on the node use, beside the cluster's own. */
  readonly archives: readonly string[];
};

const tap = 'vm0';
const memoryMiB = 2048;

/**
 * Adds an emulated machine as a second node: Debian's kernel, cgroup v2, all capabilities, hard nofile 524,288 as
 * containerd has it everywhere (this machine may not be able to give that). It is several times slower than node-1,
 * carries the label and the NoSchedule taint connectionbudget.test/vm=true, and goes with the cluster. Once it runs, it
 * is left as it is. Ready in about 40 s.
 */
export async function startVmNode(cluster: Cluster, options: VmOptions): Promise<string> {
  const { signal, onProgress } = options;
  if (findDaemon(cluster.dir, 'vm') !== undefined) return vmNodeName;
  await ensureRequirements(virtualMachineRequirements, options);
  onProgress('making the virtual machine');
  const command = await makeMachine(cluster, options);
  await connectMachine(cluster, signal);
  onProgress('starting the virtual machine');
  const machine = inNamespace(cluster.network.nodeNamespace, command);
  await startDaemon(cluster.dir, { name: 'vm', ...splitCommand(machine), lifetime: 'Detached' });
  await waitUntilNodeReady(cluster, signal, vmNodeName);
  return vmNodeName;
}

/** Writes all that the machine needs; gives QEMU's command line. */
async function makeMachine(cluster: Cluster, options: VmOptions): Promise<readonly string[]> {
  const { signal } = options;
  const dir = join(cluster.dir, 'vm');
  await mkdir(dir, { recursive: true });
  const kernel = await ensureVmKernel(signal);
  const { vmAddress: address, vmGateway: gateway } = cluster.network;
  const own = ['pause', 'connprobe'].map((name) => join(cluster.dir, 'images', `${name}.tar`));
  const disk = await makeVmDisk({
    dir,
    paths: cluster.paths,
    kernel,
    archives: [...own, ...options.archives],
    nodeFiles: await writeNodeFiles(cluster, dir, signal),
    node: { name: vmNodeName, address, gateway, range: vmPodRange(cluster) },
    signal,
  });
  const initrd = await makeInitialRamDisk(dir, kernel, signal);
  const console = join(cluster.dir, 'logs', 'vm-console.log');
  return qemuCommand({ kernel: kernel.image, initrd, disk, console });
}

type MachineFiles = {
  readonly kernel: string;
  readonly initrd: string;
  readonly disk: string;
  readonly console: string;
};

function qemuCommand({ kernel, initrd, disk, console }: MachineFiles): readonly string[] {
  const groups = [
    ['qemu-system-x86_64', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', String(memoryMiB)],
    ['-nographic', '-nodefaults', '-no-reboot', '-serial', `file:${console}`],
    ['-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0 panic=-1 quiet net.ifnames=0'],
    ['-drive', `file=${disk},format=raw,if=virtio,cache=unsafe`, '-device', 'virtio-rng-pci'],
    ['-netdev', `tap,id=link,ifname=${tap},script=no,downscript=no`, '-device', 'virtio-net-pci,netdev=link'],
  ];
  return groups.flat();
}

async function writeNodeFiles(cluster: Cluster, dir: string, signal: AbortSignal): Promise<Record<string, string>> {
  const pki = join(cluster.dir, 'pki');
  const authority = { dir: pki, certificateFile: join(pki, 'ca.crt'), keyFile: join(pki, 'ca.key') };
  const server = `https://${cluster.network.hostAddress}:6443`;
  const identity = { authority, nodeName: vmNodeName, address: cluster.network.vmAddress, server, dir, signal };
  const { kubeconfig, serving } = await issueKubeletIdentity(identity);
  const config = join(dir, 'kubelet.json');
  const settings = {
    ...kubeletSettings({ dnsAddress: cluster.network.dnsAddress, clientCaFile: '/etc/node/ca.crt' }),
    tlsCertFile: '/etc/node/serving.crt',
    tlsPrivateKeyFile: '/etc/node/serving.key',
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    makeIPTablesUtilChains: false,
    registerWithTaints: [{ key: vmLabel, value: 'true', effect: 'NoSchedule' }],
  };
  await writeFile(config, JSON.stringify(settings));
  return {
    kubeconfig,
    'kubelet.json': config,
    'ca.crt': authority.certificateFile,
    'serving.crt': serving.certificateFile,
    'serving.key': serving.keyFile,
  };
}

/** A tap device in the node's namespace: the node routes for the machine and translates its services. */
async function connectMachine(cluster: Cluster, signal: AbortSignal): Promise<void> {
  const { nodeNamespace, vmAddress, vmGateway } = cluster.network;
  const node = ['-n', nodeNamespace];
  await run('ip', [...node, 'tuntap', 'add', tap, 'mode', 'tap'], { signal });
  await run('ip', [...node, 'address', 'add', `${vmGateway}/30`, 'dev', tap], { signal });
  await run('ip', [...node, 'link', 'set', tap, 'up'], { signal });
  await run('ip', [...node, 'route', 'add', vmPodRange(cluster), 'via', vmAddress], { signal });
}

/** What the controller-manager gives the second node: the second /24. 10.244.16.0/20 → 10.244.17.0/24 */
function vmPodRange(cluster: Cluster): string {
  return `10.244.${cluster.network.slot * 16 + 1}.0/24`;
}
