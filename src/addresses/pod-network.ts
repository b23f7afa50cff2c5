import { callIpam, type IpamSetting } from './cni-ipam.ts';
import { type CniNetwork, type DelegatingNetwork, networkFileOf, parseDelegate, parseNetwork } from './cni-network.ts';
import { isOwnLease, leaseName, readStore, type StoredLease } from './host-local-store.ts';
import { AddressError, type AddressProvider, type Leases, type PodSandboxRef } from './provider.ts';

/**
 * Provider PodNetwork: further addresses of the range that the node's pods have, from the network's own IPAM plugin. Each is
 * a lease of the pod's sandbox under an interface name of ours (cb0, cb1, …), so the plugin's own store tells what is held.
 */
export interface PodNetworkSetting extends IpamSetting {
  /** Where the runtime looks for network configurations; usually /etc/cni/net.d. */
  readonly configurationFolder: string;
}

export function podNetworkProvider(setting: PodNetworkSetting): AddressProvider {
  return {
    lease: (pod, count, signal) => lease(setting, { pod, count, signal }),
    release: (sandboxId, signal) => release(setting, sandboxId, signal),
    held: () => held(setting),
  };
}

interface Wanted {
  readonly pod: PodSandboxRef;
  readonly count: number;
  readonly signal: AbortSignal;
}

/** A pod that holds some already (an event that came twice) gets what is missing. */
async function lease(setting: PodNetworkSetting, { pod, count, signal }: Wanted): Promise<Leases> {
  const network = await readNetwork(setting, pod.sandboxId);
  const before = await ownLeases(setting, network, pod.sandboxId);
  const taken = new Set(before.addresses.map(({ interfaceName }) => interfaceName));
  const wanted = Array.from({ length: count }, (_, index) => leaseName(index));
  const addresses = before.addresses.map(({ address }) => address);
  const missing = wanted.filter((name) => !taken.has(name));
  try {
    for (const [index, interfaceName] of missing.entries()) {
      const call = { command: 'ADD', containerId: pod.sandboxId, interfaceName, netnsPath: pod.netnsPath } as const;
      const given = await counted(missing.length - index, count, () => callIpam(network, call, { setting, signal }));
      addresses.push(...given);
    }
  } catch (error) {
    // What one that was killed half way had taken is given back too; what cannot be is found as a leak.
    await giveBack(setting, network, { sandboxId: pod.sandboxId, names: wanted }).catch(() => undefined);
    throw error;
  }
  return leasesOf(network, {
    sandboxId: pod.sandboxId,
    own: before.primaries,
    addresses,
    count,
    takenAtMs: Date.now(),
  });
}

/** An exhausted range says how many are missing. */
async function counted<T>(missing: number, count: number, attempt: () => Promise<T>): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof AddressError) || error.kind !== 'RangeExhausted') throw error;
    const message = `${missing} of ${count} further addresses are missing: ${error.message}`;
    throw new AddressError('RangeExhausted', message, { cause: error });
  }
}

async function release(setting: PodNetworkSetting, sandboxId: string, signal: AbortSignal): Promise<void> {
  const network = await readNetwork(setting, sandboxId);
  const stored = await readStore(network.storePath, setting.access);
  const names = stored.filter((entry) => entry.containerId === sandboxId && isOwnLease(entry));
  await giveBack(setting, network, {
    sandboxId,
    names: [...new Set(names.map((entry) => entry.interfaceName))],
    signal,
  });
}

interface Returned {
  readonly sandboxId: string;
  readonly names: readonly string[];
  readonly signal?: AbortSignal;
}

/** 32 calls take 160 ms, on a slow machine ten times that; whoever gives back may have run out of time, so this has its own. */
const giveBackMs = 5000;

async function giveBack(setting: PodNetworkSetting, network: CniNetwork, returned: Returned): Promise<void> {
  const { sandboxId, names, signal = AbortSignal.timeout(giveBackMs) } = returned;
  const failures: unknown[] = [];
  for (const interfaceName of names) {
    const call = { command: 'DEL', containerId: sandboxId, interfaceName, netnsPath: '' } as const;
    await callIpam(network, call, { setting, signal }).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}

async function held(setting: PodNetworkSetting): Promise<readonly Leases[]> {
  const network = await readNetwork(setting, undefined);
  const stored = await readStore(network.storePath, setting.access);
  const bySandbox = Map.groupBy(stored, ({ containerId }) => containerId);
  return [...bySandbox].flatMap(([sandboxId, leases]) => {
    const ours = leases.filter(isOwnLease);
    if (ours.length === 0) return [];
    return leasesOf(network, {
      sandboxId,
      own: leases.filter((entry) => !isOwnLease(entry)),
      addresses: ours.toSorted(byName).map(({ address }) => address),
      count: new Set(ours.map(({ interfaceName }) => interfaceName)).size,
      takenAtMs: Math.max(...ours.map(({ takenAtMs }) => takenAtMs)),
    });
  });
}

const byName = (a: StoredLease, b: StoredLease): number =>
  Number(a.interfaceName.slice(2)) - Number(b.interfaceName.slice(2));

interface Found extends Pick<Leases, 'sandboxId' | 'addresses' | 'count' | 'takenAtMs'> {
  readonly own: readonly StoredLease[];
}

function leasesOf({ attachment }: CniNetwork, { own, ...rest }: Found): Leases {
  const interfaceName = own[0]?.interfaceName ?? '';
  return { ...rest, attachment, interfaceName, primaries: own.map(({ address }) => address) };
}

/** The store holds the pod's own lease, or it is not the store of this node's pods. */
async function ownLeases(setting: PodNetworkSetting, network: CniNetwork, sandboxId: string) {
  const stored = await readStore(network.storePath, setting.access);
  const ofPod = stored.filter(({ containerId }) => containerId === sandboxId);
  const primaries = ofPod.filter((entry) => !isOwnLease(entry));
  if (primaries.length > 0) return { primaries, addresses: ofPod.filter(isOwnLease) };
  const message = `the pod's own address is not in ${network.storePath}: these are not the leases of its network`;
  throw new AddressError('StoreNotVisible', message);
}

async function readNetwork(setting: PodNetworkSetting, sandboxId: string | undefined): Promise<CniNetwork> {
  const { access, configurationFolder } = setting;
  const name = networkFileOf((await access.list(configurationFolder)) ?? []);
  const file = name === undefined ? undefined : await access.read(`${configurationFolder}/${name}`);
  if (file === undefined) {
    throw new AddressError('NetworkUnknown', `there is no network configuration in ${configurationFolder}`);
  }
  const network = parseNetwork(file.text);
  return 'delegatesIn' in network ? readDelegate(setting, network, sandboxId) : network;
}

/** The pod's own file, or any: they differ in nothing that matters here. */
async function readDelegate(
  { access }: PodNetworkSetting,
  network: DelegatingNetwork,
  sandboxId: string | undefined,
): Promise<CniNetwork> {
  const names = (await access.list(network.delegatesIn)) ?? [];
  const name = names.find((entry) => entry === sandboxId) ?? names[0];
  const file = name === undefined ? undefined : await access.read(`${network.delegatesIn}/${name}`);
  if (file !== undefined) return parseDelegate(network, file.text);
  throw new AddressError('StoreNotVisible', `the agent does not see the pods' networks in ${network.delegatesIn}`);
}
