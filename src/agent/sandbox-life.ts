import { AddressError } from '../addresses/provider.ts';
import { RefuseCreation } from '../nri/error.ts';
import { dressPod, undressPod } from './dress.ts';
import { addressFinding } from './finding.ts';
import type { Host } from './host.ts';
import { type AddressOutcome, noAddresses, type PlannedPod, type PlannedPods } from './planned-pods.ts';
import { hasLeft } from './sandbox.ts';
import { furtherAddressesOf, sourceAddressesOf } from './source-addresses.ts';
import type { Verifier } from './verify.ts';

/** What a pod gets before its first container, and what is taken back when its sandbox ends. */

interface SandboxOptions {
  readonly host: Host;
  readonly pods: PlannedPods;
  readonly verifier: Verifier;
  readonly onError: (error: unknown) => void;
}

/**
 * The runtime waits 2 s for a new pod, for all plugins together. Sysctls that come later come in the next pass; without all
 * of its addresses the sandbox is not made, and the kubelet tries again.
 */
const sandboxDeadlineMs = 1500;

/** Throws RefuseCreation. */
export async function prepareSandbox(options: SandboxOptions, sandboxId: string, signal: AbortSignal): Promise<void> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(sandboxDeadlineMs)]);
  await options.verifier.applySysctls(sandboxId, { isLate: false, signal: deadline });
  const pod = options.pods.get(sandboxId);
  if (pod === undefined) return;
  await dressOrRefuse(options, pod, deadline);
  await options.verifier.applySpread(sandboxId, { isLate: false, signal: deadline });
}

/** The pod's containers have ended. What cannot be given back now is found later. */
export async function leaveSandbox(
  { pods, host }: SandboxOptions,
  sandboxId: string,
  signal: AbortSignal,
): Promise<void> {
  const pod = pods.get(sandboxId);
  pods.forget(sandboxId);
  if (pod === undefined) return;
  await host.spread.leave(pod);
  if (furtherAddressesOf(pod) === 0) return;
  host.addressFiles.remove(sandboxId);
  await undressPod(pod, host, signal);
}

/**
 * The same for pods of whose end nobody tells: containerd (2.4, internal/nri) tells of no sandbox that is older than itself.
 * Their addresses are found lost.
 */
export async function leaveEnded({ pods, host }: Pick<SandboxOptions, 'pods' | 'host'>): Promise<void> {
  for (const pod of pods.all().filter((known) => hasLeft(known, host.procRoot))) {
    pods.forget(pod.sandboxId);
    await host.spread.leave(pod);
  }
}

async function dressOrRefuse({ pods, host, onError }: SandboxOptions, pod: PlannedPod, signal: AbortSignal) {
  try {
    const addresses = await dressPod(pod, host, signal);
    await tell({ ...pod, addresses }, host, signal);
    pods.update(pod.sandboxId, (now) => ({ ...now, addresses }));
    pods.admit(pod);
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    onError(error);
    const findings = [addressFinding(furtherAddressesOf(pod), error.message)];
    const addresses: AddressOutcome = { ...noAddresses, isChecked: true, findings };
    pods.refuse({ ...pod, addresses }, performance.now());
    throw new RefuseCreation(`connection budget: ${error.message}`, { cause: error });
  }
}

/** Writes what the pod's containers are told. */
async function tell(pod: PlannedPod, host: Host, signal: AbortSignal): Promise<void> {
  if (pod.addresses.leases === undefined) return;
  try {
    host.addressFiles.write(pod.sandboxId, sourceAddressesOf(pod));
  } catch (cause) {
    await undressPod(pod, host, signal);
    throw new AddressError('ProviderFailed', "the file with the pod's addresses cannot be written", { cause });
  }
}
