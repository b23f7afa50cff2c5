import type { PodNetworkSetting } from '../addresses/pod-network.ts';
import type { ApiLocation } from '../kube/connection-node.ts';
import type { Logger } from '../observability/logger.ts';
import type { AgentCaps } from './adjust.ts';
import type { SpreadSetting } from './pod-spread.ts';
import type { PublishTiming } from './publish.ts';

export interface AgentOptions {
  readonly nodeName: string;
  readonly version: string;
  /** Of the runtime; usually /var/run/nri/nri.sock. */
  readonly nriSocketPath: string;
  readonly keysDirectory: string;
  /** Shows the node's processes. */
  readonly procRoot: string;
  /** Where to mount a proc of one's own, for a container's /proc/sys is read-only; undefined: procRoot can be written. */
  readonly procMount: string | undefined;
  readonly runtimeNames: readonly string[];
  readonly caps: AgentCaps;
  readonly podNetwork: Omit<PodNetworkSetting, 'access'>;
  /** Of files for pods, under the same path on the node. */
  readonly addressFolder: string;
  readonly spread: SpreadSetting;
  /** flows.bpf.c, compiled. */
  readonly flowsObjectPath: string;
  readonly api: ApiLocation;
  readonly observabilityPort: number;
  readonly timing: AgentTiming;
  readonly logger: Logger;
  /** Where the namespace worker's body is when the agent is a bundle. */
  readonly workerUrl: URL | undefined;
}

interface AgentTiming {
  /** Between two looks at all planned pods; each time up to a tenth more or less. */
  readonly verifyEveryMs: number;
  readonly factsEveryMs: number;
  /** Between two searches for leases that nobody has any more. */
  readonly leasesEveryMs: number;
  /** The longest that the first status waits for the pods that are there: it would take them for gone. */
  readonly firstSightMs: number;
  readonly publish: PublishTiming;
}
