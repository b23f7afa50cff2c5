import type { AddressProvider } from '../addresses/provider.ts';
import type { PlanSection } from '../api/pod-annotation.ts';
import type { PlannedPod } from './planned-pods.ts';

export type ProviderName = Exclude<PlanSection['sourceAddresses']['provider'], 'None'>;
export type AddressProviders = Readonly<Record<ProviderName, AddressProvider>>;

export const onNodeNetwork = "the pod is on its node's network, to which the agent adds none";

/** How many further addresses are planned, of each family. */
export function furtherAddressesOf({ plan }: Pick<PlannedPod, 'plan'>): number {
  if (plan.state !== 'Verified') return 0;
  const { provider, extra } = plan.section.sourceAddresses;
  return provider === 'None' ? 0 : extra;
}

/** For a pod that further addresses are planned for. */
export function providerFor(
  { plan }: Pick<PlannedPod, 'plan'>,
  { addresses }: { readonly addresses: AddressProviders },
): AddressProvider {
  const name = plan.state === 'Verified' ? plan.section.sourceAddresses.provider : 'None';
  return addresses[name === 'Multus' ? 'Multus' : 'PodNetwork'];
}

/** All addresses that a pod may bind to, its own first; none where no further ones are planned or had. */
export function sourceAddressesOf({ addresses: { leases } }: Pick<PlannedPod, 'addresses'>): readonly string[] {
  return leases === undefined ? [] : [...leases.primaries, ...leases.addresses];
}
