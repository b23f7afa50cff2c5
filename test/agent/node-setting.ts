import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attachedProvider } from '../../src/addresses/attached.ts';
import { podNetworkProvider } from '../../src/addresses/pod-network.ts';
import type { AddressProvider } from '../../src/addresses/provider.ts';
import { AddressFiles } from '../../src/agent/address-file.ts';
import { nodeAccess } from '../../src/agent/assemble.ts';
import { type ConnectionNodeStatus, connectionNodeStatus } from '../../src/api/connection-node.ts';
import { planAnnotation } from '../../src/api/names.ts';
import type { PlanSection } from '../../src/api/pod-annotation.ts';
import { CpuMeter } from '../../src/agent/cpu-meter.ts';
import type { Host } from '../../src/agent/host.ts';
import { KeyDirectory } from '../../src/agent/key-directory.ts';
import { readAddresses } from '../../src/agent/dress.ts';
import { giveBackLost } from '../../src/agent/look-after-addresses.ts';
import { LateBefore } from '../../src/agent/late-before.ts';
import { FlowObserver, type FlowRound } from '../../src/agent/observe-flows.ts';
import { PlannedPods } from '../../src/agent/planned-pods.ts';
import { agentSysctls } from '../../src/agent/planned-sysctls.ts';
import { podEvents } from '../../src/agent/pod-events.ts';
import { PodSpread, type SpreadSetting } from '../../src/agent/pod-spread.ts';
import { leaveEnded } from '../../src/agent/sandbox-life.ts';
import { statusFor } from '../../src/agent/report.ts';
import { Verifier } from '../../src/agent/verify.ts';
import { type FlowCounter, openFlowCounter } from '../../src/linux/flows/flow-counter.ts';
import { type NodeFacts, readNodeFacts } from '../../src/linux/node-facts.ts';
import { createNamespaceWorker } from '../../src/linux/namespace-worker.ts';
import { withQuickVisits } from '../../src/linux/quick-visits.ts';
import type { PluginHandlers } from '../../src/nri/handlers.ts';
import type { NetworkNamespace } from '../linux/network-namespace.ts';
import { sandboxId } from './pod-program.ts';
import { makeSigner, namespace, sectionOf, type Signer } from './plans.ts';

/** The agent without its loops, on this machine: what a runtime calls, and what comes of it. */
export interface NodeSetting extends Disposable {
  readonly handlers: PluginHandlers;
  readonly verifier: Verifier;
  readonly signer: Signer;
  readonly errors: readonly unknown[];
  readonly publishKey: (keyId: string, signer: Signer) => void;
  readonly status: () => ConnectionNodeStatus;
  /** Everything that was begun after an answer has ended. */
  readonly settled: () => Promise<void>;
  readonly giveBackLost: () => Promise<number>;
  readonly leaveEnded: () => Promise<void>;
  readonly lookAtFlows: () => Promise<void>;
  readonly flowRounds: readonly FlowRound[];
  /** Where the files with addresses are. */
  readonly addressFolder: string;
}

interface NodeParts {
  readonly addresses?: AddressProvider;
  readonly spread?: SpreadSetting;
  readonly flowsObjectPath?: string;
}

const onStranded = (error: Error): never => {
  throw error;
};

const noSpread: SpreadSetting = {
  mode: 'off',
  objectPath: '/nowhere/spread.bpf.o',
  bpffsFolder: '/nowhere',
  cgroupFolder: '/nowhere',
};
const noNetwork = podNetworkProvider({ configurationFolder: '/nowhere', programFolders: [], access: nodeAccess });

const signal = new AbortController().signal;
const maximumNofile = 1_048_576;

/** This process stands for the container runtime, and `known` for what is otherwise known of the node. */
export async function setNode(
  known: Partial<NodeFacts> = {},
  nodeNetnsPath = '/proc/self/ns/net',
  { addresses = noNetwork, spread = noSpread, flowsObjectPath: objectPath = '/nowhere/flows.bpf.o' }: NodeParts = {},
): Promise<NodeSetting> {
  const directory = mkdtempSync(join(tmpdir(), 'agent-'));
  const signer = makeSigner();
  const errors: unknown[] = [];
  const onError = (error: unknown): void => void errors.push(error);
  const publishKey = (keyId: string, { published }: Signer): void => writeFileSync(join(directory, keyId), published);
  publishKey('key-1', signer);
  const worker = withQuickVisits(createNamespaceWorker({ signal }), { onStranded });
  const facts = { ...(await readNodeFacts({ runtimePid: process.pid, signal })), ...known };
  const caps = { maximumNofile, sysctls: new Set<string>(agentSysctls) };
  const host: Host = {
    procRoot: '/proc',
    worker,
    caps,
    facts: () => facts,
    nodeNetnsPath: () => nodeNetnsPath,
    addresses: {
      PodNetwork: addresses,
      Multus: attachedProvider({ addressesOf: (path, until) => readAddresses(worker, path, until) }),
    },
    addressFiles: new AddressFiles(join(directory, 'addresses')),
    dressing: new Set(),
    spread: new PodSpread({ setting: spread, worker, nodeNetnsPath: () => nodeNetnsPath }),
  };
  const pods = new PlannedPods(() => undefined);
  const verifier = new Verifier(pods, host, onError);
  const keys = new KeyDirectory(directory, { onChange: () => verifier.judgeAgain(keys.judge), onError });
  const flowRounds: FlowRound[] = [];
  const openCounter = (): FlowCounter => openFlowCounter({ objectPath, worker });
  const flows = new FlowObserver({
    pods,
    cpuMeter: new CpuMeter(),
    openCounter,
    onRound: (round) => flowRounds.push(round),
    onError,
  });
  const lateBefore = new LateBefore();
  const tasks: Promise<void>[] = [];
  const handlers = podEvents({
    host,
    pods,
    verifier,
    judge: keys.judge,
    rereadKeys: () => keys.reread(),
    onSandboxNofile: () => undefined,
    onAdopted: () => undefined,
    inBackground: (task) => tasks.push(task(signal)),
    onError,
  });
  const state = {
    version: 'test',
    runtime: 'test',
    isConnected: true,
    obstacle: '',
    maximumNofile,
    sandboxNofile: undefined,
    lateBefore,
  };
  return {
    handlers,
    verifier,
    signer,
    errors,
    publishKey,
    status: () =>
      connectionNodeStatus.parse(statusFor({ ...state, keyIds: keys.keyIds, facts, pods: pods.reported() })),
    settled: async () => void (await Promise.all(tasks)),
    giveBackLost: async () => {
      await host.spread.settle(pods.all(), signal);
      return giveBackLost(pods, host, signal);
    },
    leaveEnded: () => leaveEnded({ pods, host }),
    lookAtFlows: async () => {
      await verifier.verifyAll(signal);
      await flows.look(signal);
    },
    flowRounds,
    addressFolder: join(directory, 'addresses'),
    [Symbol.dispose]: () => {
      flows.close();
      worker.close();
      void host.spread.close();
      rmSync(directory, { recursive: true });
    },
  };
}

/** A pod as a runtime describes it in protobuf's JSON, with a network namespace that is there. */
export function podIn(netns: Pick<NetworkNamespace, 'path'> | undefined, annotation: string, sandboxPid = 0) {
  return {
    id: sandboxId,
    name: 'gateway-0',
    uid: 'pod-uid',
    namespace,
    annotations: { [planAnnotation]: annotation },
    linux: { namespaces: netns === undefined ? [] : [{ type: 'network', path: netns.path }] },
    pid: sandboxPid,
  };
}

export const containerOf = (pid: number, name = 'gateway'): object => ({
  id: `container-${name}`,
  pod_sandbox_id: sandboxId,
  name,
  pid,
  state: 'CONTAINER_RUNNING',
});

/** As a program in the pod sees it. */
export const sysctlIn = ({ path }: NetworkNamespace, name: string): string =>
  execFileSync('nsenter', [`--net=${path}`, 'cat', `/proc/sys/${name.replaceAll('.', '/')}`], {
    encoding: 'utf8',
  }).trim();

export const signedPod = (
  { signer }: NodeSetting,
  netns: Pick<NetworkNamespace, 'path'> | undefined,
  { sandboxPid, ...change }: Partial<PlanSection> & { readonly sandboxPid?: number } = {},
) => podIn(netns, signer.annotationOf(sectionOf(change)), sandboxPid);
