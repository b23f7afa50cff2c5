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

/** As the webhook names the interfaces that it asks for (network-annotation.ts); a pod may have others of its user's. */
const askedFor = /^cb\d+$/;

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
    held: async (pods, signal) => {
      // A pod that is just ending says nothing of the others.
      const found = await Promise.allSettled(pods.map((pod) => find(pod, signal)));
      return found.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    },
  };
}

/**
 * The pod's own address is none of them: what is reached over an attachment need not find a way back to it
 * (docs/decisions/0028-addresses-before-a-translator.md).
 */
function attachedOf(sandboxId: string, all: readonly AttachedAddress[]): Leases {
  const asked = all.filter(({ interfaceName }) => askedFor.test(interfaceName));
  const addresses = asked.map(({ ip }) => ip);
  const perFamily = Map.groupBy(addresses, isIP);
  const count = Math.min(addresses.length, ...[...perFamily.values()].map(({ length }) => length));
  const interfaceName = asked[0]?.interfaceName ?? '';
  return { sandboxId, interfaceName, attachment: 'Present', primaries: [], addresses, count, takenAtMs: 0 };
}
