import type { AddressProvider, Leases } from '../addresses/provider.ts';
import type { PlanSection } from '../api/pod-annotation.ts';
import type { Host } from './host.ts';
import type { Outcome, PlannedPod } from './planned-pods.ts';

export type ProviderName = Exclude<PlanSection['sourceAddresses']['provider'], 'None'>;

/** What a pod has of its further addresses; `leases` undefined: none. */
export interface AddressOutcome extends Outcome {
  readonly leases?: Leases;
}

export const noAddresses: AddressOutcome = { isChecked: false, isLate: false, findings: [] };

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
  { addresses }: Pick<Host, 'addresses'>,
): AddressProvider {
  const name = plan.state === 'Verified' ? plan.section.sourceAddresses.provider : 'None';
  return addresses[name === 'Multus' ? 'Multus' : 'PodNetwork'];
}

/** All addresses that a pod may bind to, its own first; none where no further ones are planned or had. */
export function sourceAddressesOf({ addresses: { leases } }: Pick<PlannedPod, 'addresses'>): readonly string[] {
  return leases === undefined ? [] : [...leases.primaries, ...leases.addresses];
}
