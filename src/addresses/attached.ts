import { isIP } from 'node:net';
import { AddressError, type AddressProvider, type Leases, type PodSandboxRef } from './provider.ts';

/**
 * Provider Multus on the node: what the webhook asked for has been attached with the pod's network, before its sandbox was
 * told of. So there is nothing to take and nothing to give back, only to find.
 */
export interface AttachedSetting {
  /** All addresses of global scope in a pod's namespace. */
  readonly addressesOf: (netnsPath: string, signal: AbortSignal) => Promise<readonly AttachedAddress[]>;
}

interface AttachedAddress {
  readonly interfaceName: string;
  readonly ip: string;
}

/** The interface of a pod's first network has this name with every runtime (defaultIfName in containerd, also in CRI-O). */
const ownInterface = 'eth0';

export function attachedProvider({ addressesOf }: AttachedSetting): AddressProvider {
  const find = async (pod: PodSandboxRef, signal: AbortSignal): Promise<Leases> =>
    attachedOf(pod.sandboxId, await addressesOf(pod.netnsPath, signal));
  return {
    lease: async (pod, count, signal) => {
      const found = await find(pod, signal);
      if (found.count >= count) return found;
      const missing = `${count - found.count} of ${count} further addresses are missing`;
      throw new AddressError('NotAttached', `${missing}: the pod's attachments have brought ${found.count}`);
    },
    release: () => Promise.resolve(),
    held: (pods, signal) => Promise.all(pods.map((pod) => find(pod, signal))),
  };
}

function attachedOf(sandboxId: string, all: readonly AttachedAddress[]): Leases {
  const ipsOf = (isOwn: boolean): readonly string[] =>
    all.filter(({ interfaceName }) => (interfaceName === ownInterface) === isOwn).map(({ ip }) => ip);
  const addresses = ipsOf(false);
  const perFamily = Map.groupBy(addresses, isIP);
  const count = Math.min(addresses.length, ...[...perFamily.values()].map(({ length }) => length));
  const primaries = ipsOf(true);
  return { sandboxId, interfaceName: ownInterface, attachment: 'Present', primaries, addresses, count, takenAtMs: 0 };
}
