import type { NodeAccess } from '../addresses/node-access.ts';
import { attachedProvider } from '../addresses/attached.ts';
import { podNetworkProvider } from '../addresses/pod-network.ts';
import type { ConnectionNodeStatus } from '../api/connection-node.ts';
import type { ConnectionNodeWriter } from '../kube/connection-node.ts';
import type { NamespaceWorker } from '../linux/namespace-worker.ts';
import { runProgram } from '../linux/programs.ts';
import { listFolder, readSmallFile } from '../linux/small-files.ts';
import type { Logger } from '../observability/logger.ts';
import { AddressFiles } from './address-file.ts';
import type { AgentMetrics } from './agent-metrics.ts';
import type { AgentOptions } from './agent-options.ts';
import type { Host } from './host.ts';
import { KeyDirectory } from './key-directory.ts';
import { LateBefore } from './late-before.ts';
import { NodeView } from './node-view.ts';
import { readAddresses } from './dress.ts';
import { PlannedPods } from './planned-pods.ts';
import { PodSpread } from './pod-spread.ts';
import { Publisher } from './publish.ts';
import { statusFor } from './report.ts';
import { Verifier } from './verify.ts';

/** The parts of a running agent. */
export interface Agent {
  readonly options: AgentOptions;
  readonly logger: Logger;
  readonly metrics: AgentMetrics;
  readonly host: Host;
  readonly node: NodeView;
  readonly keys: KeyDirectory;
  readonly pods: PlannedPods;
  readonly lateBefore: LateBefore;
  readonly verifier: Verifier;
  readonly publisher: Publisher;
  /** Settles when the pods that were there have been looked at. */
  readonly firstSight: PromiseWithResolvers<void>;
  /** When the pods were last looked at, whether that succeeded or not (performance.now). */
  readonly lastLook: { atMs: number };
  readonly onError: (error: unknown) => void;
}

export interface Machinery {
  readonly procRoot: string;
  readonly worker: NamespaceWorker;
  readonly writer: ConnectionNodeWriter;
  readonly metrics: AgentMetrics;
}

/** Of the node, through the mounts of the agent's container. */
export const nodeAccess: NodeAccess = {
  list: (folder) => Promise.resolve(listFolder(folder)),
  read: (path) => Promise.resolve(readSmallFile(path)),
  run: runProgram,
};

function addressProviders({ podNetwork }: AgentOptions, worker: NamespaceWorker): Host['addresses'] {
  return {
    PodNetwork: podNetworkProvider({ ...podNetwork, access: nodeAccess }),
    Multus: attachedProvider({ addressesOf: (netnsPath, signal) => readAddresses(worker, netnsPath, signal) }),
  };
}

/** Nothing runs yet. */
export function assemble(options: AgentOptions, { procRoot, worker, writer, metrics }: Machinery): Agent {
  const { logger, caps, nodeName } = options;
  const onError = (error: unknown): void => {
    metrics.countError(error);
    logger.warn({ error }, 'something on this node could not be done');
  };
  const notify = (): void => publisher.notify();
  const node = new NodeView(notify);
  const pods = new PlannedPods(notify, metrics.countLate);
  const onKeys = (): void => {
    verifier.judgeAgain(keys.judge);
    notify();
  };
  const keys = new KeyDirectory(options.keysDirectory, { onChange: onKeys, onError });
  const host: Host = {
    procRoot,
    worker,
    caps,
    facts: () => node.facts,
    nodeNetnsPath: () => node.netnsPath,
    addresses: addressProviders(options, worker),
    addressFiles: new AddressFiles(options.addressFolder),
    spread: new PodSpread({ setting: options.spread, worker, nodeNetnsPath: () => node.netnsPath }),
  };
  const lateBefore = new LateBefore();
  const publisher = new Publisher({
    prepare: async (signal) => lateBefore.recall(await writer.read(nodeName, { signal })),
    read: () => readStatus({ options, node, pods, keys, lateBefore }),
    write: (status, signal) => writer.write(nodeName, status, { signal }),
    onWrite: (error) => {
      metrics.countWrite(error);
      if (error !== undefined) logger.warn({ error }, 'the ConnectionNode was not written');
    },
    timing: options.timing.publish,
  });
  const verifier = new Verifier(pods, host, onError);
  const firstSight = Promise.withResolvers<void>();
  const parts = { host, node, keys, pods, lateBefore, verifier, publisher };
  return { options, logger, metrics, ...parts, firstSight, lastLook: { atMs: performance.now() }, onError };
}

function readStatus(agent: Pick<Agent, 'options' | 'node' | 'pods' | 'keys' | 'lateBefore'>): ConnectionNodeStatus {
  const { options, node, pods, keys, lateBefore } = agent;
  return statusFor({
    version: options.version,
    runtime: node.runtime,
    isConnected: node.isSynchronized,
    keyIds: keys.keyIds,
    facts: node.facts,
    sandboxNofile: node.sandboxNofile,
    maximumNofile: options.caps.maximumNofile,
    pods: pods.reported(),
    lateBefore,
  });
}
