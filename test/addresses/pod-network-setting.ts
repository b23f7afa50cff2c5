import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { nodeAccess } from '../../src/agent/assemble.ts';
import { podNetworkProvider } from '../../src/addresses/pod-network.ts';
import type { AddressProvider } from '../../src/addresses/provider.ts';
import { ensureComponents } from '../cluster/lab/build.ts';
import { makeNetworkNamespace, type NetworkNamespace } from '../linux/network-namespace.ts';

/** A node's pod network, made by the real CNI plugins in namespaces of its own. */
export interface PodNetwork extends Disposable {
  readonly node: NetworkNamespace;
  readonly folder: string;
  readonly configurationFolder: string;
  readonly programFolders: readonly string[];
  readonly provider: AddressProvider;
  /** Runs the network's plugin for a pod, as a runtime does. */
  readonly join: (sandboxId: string, pod: NetworkNamespace) => void;
  readonly leave: (sandboxId: string) => void;
  /** The addresses that are handed out, sorted. */
  readonly stored: () => readonly string[];
}

export interface NetworkKind {
  readonly type: 'bridge' | 'ptp';
  readonly subnets: readonly string[];
  /** Further fields of the plugin's configuration. */
  readonly plugin?: object;
}

export const bridged: NetworkKind = { type: 'bridge', subnets: ['10.99.0.0/24'] };
export const dualStack: NetworkKind = { type: 'bridge', subnets: ['10.99.0.0/24', 'fd99::/64'] };
export const routed: NetworkKind = { type: 'ptp', subnets: ['10.99.0.0/24', 'fd99::/64'] };

const progress = { signal: new AbortController().signal, onProgress: () => undefined };

export async function makePodNetwork({ type, subnets, plugin = {} }: NetworkKind): Promise<PodNetwork> {
  const paths = await ensureComponents(['bridge', 'ptp', 'host-local'], progress);
  const node = makeNetworkNamespace();
  const folder = mkdtempSync(join(tmpdir(), 'pod-network-'));
  const configurationFolder = join(folder, 'net.d');
  const store = join(folder, 'store');
  mkdirSync(configurationFolder);
  const ranges = subnets.map((subnet) => [{ subnet }]);
  const routes = [{ dst: '0.0.0.0/0' }, ...(subnets.length > 1 ? [{ dst: '::/0' }] : [])];
  const ipam = { type: 'host-local', dataDir: store, ranges, routes };
  const main = { type, ...(type === 'bridge' ? { bridge: 'cni0', isGateway: true } : {}), ipam, ...plugin };
  const list = { cniVersion: '1.0.0', name: 'pods', plugins: [main, { type: 'portmap' }] };
  writeFileSync(join(configurationFolder, '10-pods.conflist'), JSON.stringify(list));
  const programFolders = [dirname(paths('host-local'))];
  const call = (command: 'ADD' | 'DEL', sandboxId: string, netnsPath: string): void => {
    const environment = { CNI_COMMAND: command, CNI_CONTAINERID: sandboxId, CNI_NETNS: netnsPath, CNI_IFNAME: 'eth0' };
    const input = JSON.stringify({ cniVersion: '1.0.0', name: 'pods', ...main });
    const env = { ...environment, CNI_PATH: programFolders.join(':') };
    execFileSync('nsenter', [`--net=${node.path}`, paths(type)], { input, env: { ...process.env, ...env } });
  };
  return {
    node,
    folder,
    configurationFolder,
    programFolders,
    provider: podNetworkProvider({ configurationFolder, programFolders, access: nodeAccess }),
    join: (sandboxId, pod) => call('ADD', sandboxId, pod.path),
    leave: (sandboxId) => call('DEL', sandboxId, ''),
    stored: () =>
      readdirSync(join(store, 'pods'))
        .filter((name) => isIP(name) !== 0)
        .toSorted(),
    [Symbol.dispose]: () => {
      node[Symbol.dispose]();
      rmSync(folder, { recursive: true });
    },
  };
}
