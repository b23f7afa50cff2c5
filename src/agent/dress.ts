import { isIP } from 'node:net';

import { AddressError, isLasting, type Leases } from '../addresses/provider.ts';
import type { InterfaceAddress } from '../linux/interfaces.ts';
import { LinuxError } from '../linux/linux-error.ts';
import type { NamespaceOperation, ResultOf } from '../linux/namespace-operations.ts';
import type { NamespaceWorker } from '../linux/namespace-worker.ts';
import { addressFinding } from './finding.ts';
import type { Host } from './host.ts';
import { pause } from './pause.ts';
import { type AddressOutcome, noAddresses, type PlannedPod } from './planned-pods.ts';
import { furtherAddressesOf, onNodeNetwork, providerFor } from './source-addresses.ts';

/** An answer over a veth takes microseconds; a machine with nothing to spare may need some milliseconds to give it. */
const answerMs = 100;
/** For giving back what a pod shall not have after all; nobody waits for that once the pod's own time is over. */
const giveBackMs = 5000;

/**
 * Gives a new pod the further addresses of its plan and puts them on its interface: all of them or, where its network
 * cannot be asked for any, none. Throws AddressError where trying again may help; the pod holds nothing then, or soon after
 * where its time is over.
 */
export async function dressPod(pod: PlannedPod, host: Host, signal: AbortSignal): Promise<AddressOutcome> {
  const count = furtherAddressesOf(pod);
  if (count === 0) return { ...noAddresses, isChecked: true };
  try {
    const leases = await Promise.race([dress(pod, host, signal), endOfTime(signal)]);
    return { isChecked: true, isLate: false, findings: [], leases };
  } catch (error) {
    if (!(error instanceof AddressError) || !isLasting(error)) throw error;
    return { ...noAddresses, isChecked: true, findings: [addressFinding(count, error.message)] };
  }
}

async function dress(pod: PlannedPod, host: Host, signal: AbortSignal): Promise<Leases> {
  const { sandboxId, netnsPath } = pod;
  if (netnsPath === undefined) throw new AddressError('HostNetwork', onNodeNetwork);
  host.dressing.add(sandboxId);
  try {
    const leases = await providerFor(pod, host).lease({ sandboxId, netnsPath }, furtherAddressesOf(pod), signal);
    await orGiveBack(pod, leases, { host, netnsPath, signal });
    return leases;
  } finally {
    host.dressing.delete(sandboxId);
  }
}

/** Rejects with AddressError: what is being done then takes itself back, and may take longer than the runtime waits. */
function endOfTime(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const end = (): void => reject(timedOut(signal.reason));
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  return promise;
}

const timedOut = (cause: unknown): AddressError =>
  new AddressError('TimedOut', 'the addresses were not on the interface in time', { cause });

/** Takes the addresses off the interface, so that they are free when they are given back. */
export async function undressPod(pod: PlannedPod, host: Host, signal: AbortSignal): Promise<void> {
  const { sandboxId, netnsPath, addresses } = pod;
  if (netnsPath !== undefined && addresses.leases !== undefined) await takeOff(addresses.leases, host, netnsPath);
  await providerFor(pod, host).release(sandboxId, signal);
}

interface Place {
  readonly netnsPath: string;
  readonly signal: AbortSignal;
}

/** Gives those that were not on the interface yet. Throws AddressError. */
export async function putOn(leases: Leases, host: Host, { netnsPath, signal }: Place): Promise<readonly string[]> {
  const { addresses: ips, interfaceName, attachment } = leases;
  if (attachment === 'Present') return [];
  const visit = visitor(host, signal);
  if (attachment === 'Routed') await routeTo(leases, host, signal);
  return visit(netnsPath, { operation: 'AddAddresses', interfaceName, ips });
}

async function refuseTaken({ interfaceName, addresses: ips }: Leases, host: Host, place: Place): Promise<void> {
  const visit = visitor(host, place.signal);
  await visit(place.netnsPath, { operation: 'AskNeighbours', interfaceName, ips });
  await pause(answerMs, place.signal);
  const [owner] = await visit(place.netnsPath, { operation: 'TakeNeighbours', interfaceName, ips });
  if (owner === undefined) return;
  throw new AddressError('AddressInUse', `${owner.ip} is in use already, by ${owner.linkAddress}`);
}

/** Beside the pod's own address of the same family. */
async function routeTo(leases: Leases, host: Host, signal: AbortSignal): Promise<void> {
  const visit = visitor(host, signal);
  for (const [besideIp, ips] of byFamily(leases)) {
    const [taken] = await visit(host.nodeNetnsPath(), { operation: 'AddHostRoutes', besideIp, ips });
    if (taken !== undefined)
      throw new AddressError('AddressInUse', `${taken} is in use already: the node routes it elsewhere`);
  }
}

function byFamily({ primaries, addresses }: Leases): readonly (readonly [string, readonly string[]])[] {
  return primaries.map((own) => [own, addresses.filter((ip) => isIP(ip) === isIP(own))]);
}

async function orGiveBack(pod: PlannedPod, leases: Leases, place: Place & { readonly host: Host }): Promise<void> {
  const { host } = place;
  try {
    if (leases.attachment === 'Bridged') await refuseTaken(leases, host, place);
    await putOn(leases, host, place);
    if (place.signal.aborted) throw timedOut(place.signal.reason);
  } catch (error) {
    await takeOff(leases, host, place.netnsPath);
    // What cannot be given back now is found later: its sandbox will be gone.
    const soon = AbortSignal.timeout(giveBackMs);
    await providerFor(pod, host)
      .release(leases.sandboxId, soon)
      .catch(() => undefined);
    throw error;
  }
}

/** The interface may be gone, and its addresses and routes with it. */
async function takeOff(leases: Leases, host: Host, netnsPath: string): Promise<void> {
  const { addresses: ips, interfaceName, attachment } = leases;
  if (attachment === 'Present') return;
  const { worker } = host;
  const away = [worker.run(netnsPath, [{ operation: 'RemoveAddresses', interfaceName, ips }])];
  const routes = attachment === 'Routed' ? byFamily(leases) : [];
  for (const [besideIp, beside] of routes) {
    away.push(worker.run(host.nodeNetnsPath(), [{ operation: 'RemoveHostRoutes', besideIp, ips: beside }]));
  }
  await Promise.allSettled(away);
}

/** One operation, whose failure is an AddressError. */
function visitor({ worker }: Pick<Host, 'worker'>, signal: AbortSignal) {
  return async <const T extends NamespaceOperation>(netnsPath: string, operation: T) => {
    try {
      const [result] = await worker.run(netnsPath, [operation], signal);
      return valueOf(result);
    } catch (cause) {
      if (!(cause instanceof LinuxError)) throw cause;
      if (signal.aborted) throw timedOut(cause);
      throw new AddressError('ProviderFailed', cause.message, { cause });
    }
  };
}

type ValueOf<R> = R extends { readonly ok: true; readonly value: infer V } ? V : never;

function valueOf<R extends ResultOf<NamespaceOperation>>(result: R): ValueOf<R> {
  if (!result.ok) throw new LinuxError(result.failure);
  return result.value as ValueOf<R>;
}

/** All addresses in a pod's namespace that somebody else could reach. Throws AddressError. */
export async function readAddresses(
  worker: NamespaceWorker,
  netnsPath: string,
  signal: AbortSignal,
): Promise<readonly InterfaceAddress[]> {
  const addresses = await visitor({ worker }, signal)(netnsPath, { operation: 'ListAddresses' });
  return addresses.filter(({ isDuplicate }) => !isDuplicate);
}
