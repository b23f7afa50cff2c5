/**
 * The addresses of one cluster. Sixteen clusters fit side by side on a machine; `slot` says which this one is.
 * 198.18.0.0/15 is set aside for tests of networks (RFC 2544) and is routed nowhere.
 *
 *     machine ── 198.18.SLOT.0/30 ── node ── 198.19.SLOT.0/24 ── outside
 *                                     ├── 198.18.SLOT.4/30 ── VM node
 *                                     └── bridge of the pods, a /24 of 10.244.16·SLOT.0/20
 */
export type NetworkPlan = {
  readonly slot: number;
  /** Names below /run/netns. */
  readonly nodeNamespace: string;
  readonly outsideNamespace: string;
  /** The machine's end of its link to the node. */
  readonly hostLink: string;
  readonly hostAddress: string;
  readonly nodeAddress: string;
  readonly nodeOutsideAddress: string;
  readonly outsideAddress: string;
  /** All addresses of this range are the outside's too: many destinations without configuring each. */
  readonly outsideRange: string;
  readonly vmGateway: string;
  readonly vmAddress: string;
  readonly podCidr: string;
  readonly serviceCidr: string;
  readonly dnsAddress: string;
  /** Everything above, for routes that keep it from the machine's default route. */
  readonly ranges: readonly string[];
};

export const slotCount = 16;

export function networkPlanFor(instance: string, slot: number): NetworkPlan {
  const link = `198.18.${slot}`;
  const outside = `198.19.${slot}`;
  const podCidr = `10.244.${slot * 16}.0/20`;
  const serviceCidr = `10.96.${slot * 16}.0/20`;
  return {
    slot,
    nodeNamespace: `${instance}-node`,
    outsideNamespace: `${instance}-outside`,
    hostLink: instance,
    hostAddress: `${link}.1`,
    nodeAddress: `${link}.2`,
    nodeOutsideAddress: `${outside}.1`,
    outsideAddress: `${outside}.2`,
    outsideRange: `${outside}.128/25`,
    vmGateway: `${link}.5`,
    vmAddress: `${link}.6`,
    podCidr,
    serviceCidr,
    dnsAddress: `10.96.${slot * 16}.10`,
    ranges: [podCidr, serviceCidr, `${link}.0/24`, `${outside}.0/24`],
  };
}
