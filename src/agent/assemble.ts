import type { NodeAccess } from '../addresses/node-access.ts';
import { attachedProvider } from '../addresses/attached.ts';
import { podNetworkProvider } from '../addresses/pod-network.ts';
import type { ConnectionNodeStatus } from '../api/connection-node.ts';
import type { ConnectionNodeWriter } from '../kube/connection-node.ts';
import { type FlowCounter, openFlowCounter } from '../linux/flows/flow-counter.ts';
import type { NamespaceWorker } from '../linux/namespace-worker.ts';
import { runProgram } from '../linux/programs.ts';
import { listFolder, readSmallFile } from '../linux/small-files.ts';
import type { Logger } from '../observability/logger.ts';
import { AddressFiles } from './address-file.ts';
import type { AgentMetrics } from './agent-metrics.ts';
import type { AgentOptions } from './agent-options.ts';
import { CpuMeter } from './cpu-meter.ts';
import type { Host } from './host.ts';
import { KeyDirectory } from './key-directory.ts';
import { LateBefore } from './late-before.ts';
import { type FlowRound, FlowObserver } from './observe-flows.ts';
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
  readonly flows: FlowObserver;
  readonly cpuMeter: CpuMeter;
  /** Settles when the pods that were there have been looked at. */
  readonly firstSight: PromiseWithResolvers<void>;
  /** When the pods were last looked at, whether that succeeded or not (performance.now); Infinity: no look is due yet. */
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

function hostFor(
  options: AgentOptions,
  node: NodeView,
  { procRoot, worker }: Pick<Machinery, 'procRoot' | 'worker'>,
): Host {
  const nodeNetnsPath = (): string => node.netnsPath;
  return {
    procRoot,
    worker,
    caps: options.caps,
    facts: () => node.facts,
    nodeNetnsPath,
    addresses: addressProviders(options, worker),
    addressFiles: new AddressFiles(options.addressFolder),
    dressing: new Set(),
    spread: new PodSpread({ setting: options.spread, worker, nodeNetnsPath }),
  };
}

/** Nothing runs yet. */
export function assemble(options: AgentOptions, { procRoot, worker, writer, metrics }: Machinery): Agent {
  const { logger, nodeName } = options;
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
  const host = hostFor(options, node, { procRoot, worker });
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
  const cpuMeter = new CpuMeter();
  const flows = flowObserverFor({ options, metrics, pods, worker, cpuMeter, onError });
  const firstSight = Promise.withResolvers<void>();
  const parts = { host, node, keys, pods, lateBefore, verifier, publisher, flows, cpuMeter };
  return { options, logger, metrics, ...parts, firstSight, lastLook: { atMs: Infinity }, onError };
}

type FlowParts = Pick<Agent, 'options' | 'metrics' | 'pods' | 'cpuMeter' | 'onError'> & Pick<Machinery, 'worker'>;

/** Says once by what flows are counted, and whenever that changes. */
function flowObserverFor({ options, metrics, pods, worker, cpuMeter, onError }: FlowParts): FlowObserver {
  const { logger, flowsObjectPath: objectPath } = options;
  let known: FlowRound['source'] | undefined;
  const onRound = (round: FlowRound): void => {
    metrics.seeFlowRound(round);
    const { source, reason } = round;
    if (source === known) return;
    known = source;
    if (source === 'None') logger.warn({ reason }, 'flows cannot be counted on this node');
    else logger.info({ source, reason }, 'flows are counted');
  };
  const openCounter = (): FlowCounter => openFlowCounter({ objectPath, worker });
  return new FlowObserver({ pods, cpuMeter, openCounter, onRound, onError });
}

function readStatus(agent: Pick<Agent, 'options' | 'node' | 'pods' | 'keys' | 'lateBefore'>): ConnectionNodeStatus {
  const { options, node, pods, keys, lateBefore } = agent;
  return statusFor({
    version: options.version,
    runtime: node.runtime,
    isConnected: node.isSynchronized,
    obstacle: node.obstacle,
    keyIds: keys.keyIds,
    facts: node.facts,
    sandboxNofile: node.sandboxNofile,
    maximumNofile: options.caps.maximumNofile,
    pods: pods.reported(),
    lateBefore,
  });
}
