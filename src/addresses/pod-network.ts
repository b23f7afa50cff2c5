import { isIP } from 'node:net';
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
  const missing = wanted.filter((name) => !taken.has(name));
  const { results, errors } = await callEach(missing, (interfaceName) => {
    const call = { command: 'ADD', containerId: pod.sandboxId, interfaceName, netnsPath: pod.netnsPath } as const;
    return callIpam(network, call, { setting, signal });
  });
  if (errors.length > 0) {
    // What one that was killed half way had taken is given back too; what cannot be is found as a leak.
    await giveBack(setting, network, { sandboxId: pod.sandboxId, names: wanted }).catch(() => undefined);
    throw mostTelling(errors, count);
  }
  const addresses = [...before.addresses.map(({ address }) => address), ...results.flat()];
  return leasesOf(network, {
    sandboxId: pod.sandboxId,
    own: before.primaries,
    addresses,
    count,
    takenAtMs: Date.now(),
  });
}

/** Most of a call is the start of its program; plugins take turns by a lock of their own. */
const callsAtOnce = 4;

/** In no order. */
async function callEach<T>(names: readonly string[], call: (name: string) => Promise<T>) {
  const results: T[] = [];
  const errors: unknown[] = [];
  const waiting = names.values();
  const takeTurns = async (): Promise<void> => {
    for (const name of waiting)
      await call(name).then(
        (result) => results.push(result),
        (error: unknown) => errors.push(error),
      );
  };
  await Promise.all(Array.from({ length: callsAtOnce }, takeTurns));
  return { results, errors };
}

/** The first, but an exhausted range before all, with how many are missing. */
function mostTelling(errors: readonly unknown[], count: number): unknown {
  const exhausted = errors.filter((error) => error instanceof AddressError && error.kind === 'RangeExhausted');
  const [cause] = exhausted;
  if (!(cause instanceof AddressError)) return errors[0];
  const message = `${exhausted.length} of ${count} further addresses are missing: ${cause.message}`;
  return new AddressError('RangeExhausted', message, { cause });
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

/** 32 calls take 100 ms, on a slow machine many times that; whoever gives back may have run out of time, so this has its own. */
const giveBackMs = 5000;

async function giveBack(setting: PodNetworkSetting, network: CniNetwork, returned: Returned): Promise<void> {
  const { sandboxId, names, signal = AbortSignal.timeout(giveBackMs) } = returned;
  const { errors } = await callEach(names, (interfaceName) => {
    const call = { command: 'DEL', containerId: sandboxId, interfaceName, netnsPath: '' } as const;
    return callIpam(network, call, { setting, signal });
  });
  if (errors.length > 0) throw errors[0];
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
      addresses: ours.map(({ address }) => address),
      count: new Set(ours.map(({ interfaceName }) => interfaceName)).size,
      takenAtMs: Math.max(...ours.map(({ takenAtMs }) => takenAtMs)),
    });
  });
}

interface Found extends Pick<Leases, 'sandboxId' | 'addresses' | 'count' | 'takenAtMs'> {
  readonly own: readonly StoredLease[];
}

/** IPv4 before IPv6, 10.0.0.9 before 10.0.0.10: a pod is told the same order by every agent. */
const inOrder = (a: string, b: string): number => isIP(a) - isIP(b) || (rank(a) < rank(b) ? -1 : 1);

const rank = (ip: string): string => ip.replaceAll(/\d+/g, (digits) => digits.padStart(4, '0'));

function leasesOf({ attachment }: CniNetwork, { own, addresses, ...rest }: Found): Leases {
  const interfaceName = own[0]?.interfaceName ?? '';
  const primaries = own.map(({ address }) => address);
  return { ...rest, attachment, interfaceName, primaries, addresses: addresses.toSorted(inOrder) };
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
