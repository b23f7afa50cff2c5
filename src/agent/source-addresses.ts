import type { Leases } from '../addresses/provider.ts';
import type { Outcome, PlannedPod } from './planned-pods.ts';

/** What a pod has of its further addresses; `leases` undefined: none. */
export interface AddressOutcome extends Outcome {
  readonly leases?: Leases;
}

export const noAddresses: AddressOutcome = { isChecked: false, isLate: false, findings: [] };

export const onNodeNetwork = "the pod is on its node's network, to which the agent adds none";

/** How many further addresses of the pod's own network are planned, of each family. */
export function furtherAddressesOf({ plan }: Pick<PlannedPod, 'plan'>): number {
  if (plan.state !== 'Verified') return 0;
  const { provider, extra } = plan.section.sourceAddresses;
  return provider === 'PodNetwork' ? extra : 0;
}

/** All addresses that a pod may bind to, its own first; none where no further ones are planned or had. */
export function sourceAddressesOf({ addresses: { leases } }: Pick<PlannedPod, 'addresses'>): readonly string[] {
  return leases === undefined ? [] : [...leases.primaries, ...leases.addresses];
}
