import {
  AddressError,
  type AddressProvider,
  isLasting,
  type Leases,
  type PodSandboxRef,
} from '../addresses/provider.ts';
import { putOn } from './dress.ts';
import { addressFinding } from './finding.ts';
import type { Host } from './host.ts';
import type { AddressOutcome, PlannedPod, PlannedPods } from './planned-pods.ts';
import { hasEnded, hasNetwork } from './sandbox.ts';
import { furtherAddressesOf, onNodeNetwork, providerFor, sourceAddressesOf } from './source-addresses.ts';

/**
 * A sandbox that is being made is in nobody's list yet: leases of one that is not known are lost only when they are older.
 * From lease to list takes the runtime milliseconds.
 */
const youngMs = 30_000;

/** The leases that no living pod has. `isAlive` knows every planned pod of the node whose network is there. */
export function lostLeases(
  held: readonly Leases[],
  isAlive: (sandboxId: string) => boolean,
  nowMs: number,
): readonly Leases[] {
  return held.filter(({ sandboxId, takenAtMs }) => !isAlive(sandboxId) && nowMs - takenAtMs > youngMs);
}

/** Gives back what pods have left behind: those that ended while no agent was there, or with their node. */
export async function giveBackLost(pods: PlannedPods, host: Host, signal: AbortSignal): Promise<number> {
  const alive = new Set(
    pods
      .all()
      .filter((pod) => hasNetwork(pod, host.procRoot))
      .map(({ sandboxId }) => sandboxId),
  );
  const failures: unknown[] = [];
  let found = 0;
  for (const provider of Object.values(host.addresses)) {
    const { held } = await readHeld(provider, [], signal);
    const lost = lostLeases(held, (sandboxId) => alive.has(sandboxId), Date.now());
    for (const { sandboxId } of lost)
      await provider.release(sandboxId, signal).catch((error: unknown) => failures.push(error));
    found += lost.length;
  }
  host.addressFiles.removeAllBut(new Set(pods.all().map(({ sandboxId }) => sandboxId)));
  if (failures.length > 0) throw failures[0];
  return found;
}

/** Looks whether the pods have what they hold, and puts it on the interface where a killed agent has not. */
export async function verifyAddresses(pods: PlannedPods, host: Host, signal: AbortSignal): Promise<void> {
  // A pod without a container may be about to get its addresses.
  await lookAtAll({ pods, host, signal }, ({ containers }) => containers.size > 0);
}

/**
 * The same for pods whose sandbox an agent before this one has prepared: their containers are still to come, and are told.
 */
export async function recallAddresses(pods: PlannedPods, host: Host, signal: AbortSignal): Promise<void> {
  await lookAtAll({ pods, host, signal }, (pod) => isToCome(pod) && !pod.addresses.isChecked);
  for (const pod of pods.all().filter(isToCome))
    if (pod.addresses.leases !== undefined) host.addressFiles.write(pod.sandboxId, sourceAddressesOf(pod));
}

const isToCome = ({ containers }: PlannedPod): boolean => containers.size === 0;

interface Round {
  readonly pods: PlannedPods;
  readonly host: Host;
  readonly signal: AbortSignal;
}

async function lookAtAll({ pods, host, signal }: Round, isMeant: (pod: PlannedPod) => boolean): Promise<void> {
  const isSettled = (pod: PlannedPod): boolean => !host.dressing.has(pod.sandboxId) && !hasEnded(pod, host.procRoot);
  const concerned = pods.all().filter((pod) => furtherAddressesOf(pod) > 0 && isMeant(pod) && isSettled(pod));
  for (const [provider, ofProvider] of Map.groupBy(concerned, (pod) => providerFor(pod, host))) {
    // Read each time: what the network keeps also tells what an earlier agent leased.
    const seen = await readHeld(
      provider,
      ofProvider.flatMap((pod) => sandboxRef(pod, host.procRoot)),
      signal,
    );
    for (const pod of ofProvider) {
      const addresses = await lookAt(pod, seen, { host, signal });
      pods.update(pod.sandboxId, (now) => (now.addresses === pod.addresses ? { ...now, addresses } : now));
    }
  }
}

const sandboxRef = (pod: PlannedPod, procRoot: string): readonly PodSandboxRef[] =>
  pod.netnsPath === undefined || !hasNetwork(pod, procRoot)
    ? []
    : [{ sandboxId: pod.sandboxId, netnsPath: pod.netnsPath }];

interface Seen {
  readonly held: readonly Leases[];
  /** Why the network cannot be asked: it holds nothing of ours. */
  readonly fault?: AddressError;
}

async function readHeld(provider: AddressProvider, of: readonly PodSandboxRef[], signal: AbortSignal): Promise<Seen> {
  try {
    return { held: await provider.held(of, signal) };
  } catch (fault) {
    if (fault instanceof AddressError && isLasting(fault)) return { held: [], fault };
    throw fault;
  }
}

async function lookAt(
  pod: PlannedPod,
  seen: Seen,
  { host, signal }: { readonly host: Host; readonly signal: AbortSignal },
): Promise<AddressOutcome> {
  const { addresses: before, netnsPath, sandboxId } = pod;
  const wanted = furtherAddressesOf(pod);
  const leases = seen.held.find((entry) => entry.sandboxId === sandboxId);
  if (netnsPath === undefined || leases === undefined || leases.count < wanted) {
    return { ...before, isChecked: true, findings: missing(pod, leases?.count ?? 0, seen) };
  }
  try {
    const added = await putOn(leases, host, { netnsPath, signal });
    const isLate = before.isLate || (added.length > 0 && pod.containers.size > 0);
    return { isChecked: true, isLate, findings: [], leases };
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    return { ...before, isChecked: true, findings: [addressFinding(wanted, error.message)], leases };
  }
}

/** Why a pod has none is known where this agent saw it start. */
function missing(pod: PlannedPod, has: number, { fault }: Seen): AddressOutcome['findings'] {
  if (pod.addresses.findings.length > 0) return pod.addresses.findings;
  const wanted = furtherAddressesOf(pod);
  if (pod.netnsPath === undefined) return [addressFinding(wanted, onNodeNetwork)];
  const why = `${wanted - has} of them are missing: when the pod started, no agent was there that knew its plan`;
  return [addressFinding(wanted, fault?.message ?? why)];
}
