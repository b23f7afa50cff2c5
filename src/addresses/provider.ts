/**
 * Who hands out further addresses of a pod. A provider is one file that implements AddressProvider; what it needs of the
 * machine is given to it (node-access.ts). docs/source-addresses.md says how to write one.
 */

/** The network interface of a pod as the runtime has set it up. */
export interface PodSandboxRef {
  readonly sandboxId: string;
  readonly netnsPath: string;
}

/**
 * Bridged: pod and node share a link, on which others find an address by asking. Routed: the node needs a route to each
 * address. Present: the network has put the addresses on an interface of the pod by itself.
 */
export type Attachment = 'Bridged' | 'Routed' | 'Present';

/** What a pod holds beside its own addresses. */
export interface Leases {
  readonly sandboxId: string;
  /** Of the pod, where the addresses belong. */
  readonly interfaceName: string;
  readonly attachment: Attachment;
  /** The pod's own ones, one of each family of its network. */
  readonly primaries: readonly string[];
  /** As many of each family as there are leases. */
  readonly addresses: readonly string[];
  readonly count: number;
  /** When the last one was taken, in milliseconds since 1970. */
  readonly takenAtMs: number;
}

export interface AddressProvider {
  /** Takes `count` addresses of each family. Throws AddressError, and holds nothing then. */
  readonly lease: (pod: PodSandboxRef, count: number, signal: AbortSignal) => Promise<Leases>;
  /** Gives back whatever the pod holds; nothing where it holds nothing. Throws AddressError. */
  readonly release: (sandboxId: string, signal: AbortSignal) => Promise<void>;
  /**
   * What `pods` hold, and whatever else is held for pods of this node, dead ones too: read from where the network keeps it, so
   * that it survives an agent. Throws AddressError.
   */
  readonly held: (pods: readonly PodSandboxRef[], signal: AbortSignal) => Promise<readonly Leases[]>;
}

/**
 * | kind | cause | trying again |
 * |---|---|---|
 * | NetworkUnknown | no configuration, or not one that can be read | does not help |
 * | NetworkUnsupported | a network that cannot be asked for more | does not help |
 * | StoreNotVisible | the agent does not see the leases of the network, or its plugin | does not help |
 * | HostNetwork | the pod has no network of its own | does not help |
 * | NotAttached | the pod's attachments have brought fewer | does not help |
 * | RangeExhausted | fewer addresses are free than planned | may help |
 * | AddressInUse | somebody answers at an address that was handed out | helps: the next ones are others |
 * | TimedOut | the runtime would not have waited longer | may help |
 * | ProviderFailed | anything else | may help |
 */
export const addressFaults = [
  'NetworkUnknown',
  'NetworkUnsupported',
  'StoreNotVisible',
  'HostNetwork',
  'NotAttached',
  'RangeExhausted',
  'AddressInUse',
  'TimedOut',
  'ProviderFailed',
] as const;
export type AddressFault = (typeof addressFaults)[number];

export class AddressError extends Error {
  override readonly name = 'AddressError';
  readonly kind: AddressFault;

  constructor(kind: AddressFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

const lastingFaults: ReadonlySet<AddressFault> = new Set([
  'NetworkUnknown',
  'NetworkUnsupported',
  'StoreNotVisible',
  'HostNetwork',
  'NotAttached',
]);

/** Whether the pod had better start without its addresses, for they will not come: it would wait for ever. */
export const isLasting = ({ kind }: AddressError): boolean => lastingFaults.has(kind);
