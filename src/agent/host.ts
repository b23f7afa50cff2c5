import type { NamespaceWorker } from '../linux/namespace-worker.ts';
import type { NodeFacts } from '../linux/node-facts.ts';
import type { AddressFiles } from './address-file.ts';
import type { AddressProviders } from './source-addresses.ts';
import type { AgentCaps } from './adjust.ts';
import type { PodSpread } from './pod-spread.ts';

/** The machine as the agent reaches it. */
export interface Host {
  /** A proc mount with the node's pid namespace and a sys/net that can be written. */
  readonly procRoot: string;
  readonly worker: NamespaceWorker;
  readonly caps: AgentCaps;
  /** As last read. */
  readonly facts: () => NodeFacts;
  /** The node's own network namespace. */
  readonly nodeNetnsPath: () => string;
  readonly addresses: AddressProviders;
  readonly addressFiles: AddressFiles;
  /** Sandboxes that addresses are being given to, or taken back from: what is held for them is about to change. */
  readonly dressing: Set<string>;
  readonly spread: PodSpread;
}
