import { setTimeout as sleep } from 'node:timers/promises';

import { type ApiLocation, type ConnectionNodeWriter, createConnectionNodeWriter } from '../kube/connection-node.ts';
import { mountProc } from '../linux/mount.ts';
import { createNamespaceWorker, type NamespaceWorker } from '../linux/namespace-worker.ts';
import { type PluginState, runPlugin } from '../nri/plugin.ts';
import type { Logger } from '../observability/logger.ts';
import { createMetrics, type Metrics } from '../observability/metrics.ts';
import { serveObservability } from '../observability/serve-observability.ts';
import type { AgentCaps } from './adjust.ts';
import { type AgentMetrics, agentMetrics } from './agent-metrics.ts';
import type { Host } from './host.ts';
import { KeyDirectory } from './key-directory.ts';
import { NodeView } from './node-view.ts';
import { PlannedPods } from './planned-pods.ts';
import { podEvents } from './pod-events.ts';
import { Publisher, type PublishTiming } from './publish.ts';
import { statusFor } from './report.ts';
import { readNode } from './runtime-process.ts';
import { Verifier } from './verify.ts';

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
  readonly api: ApiLocation;
  readonly observabilityPort: number;
  readonly timing: AgentTiming;
  readonly logger: Logger;
  /** Where the namespace worker's body is when the agent is a bundle. */
  readonly workerUrl: URL | undefined;
}

export interface AgentTiming {
  /** Between two looks at all planned pods; each time up to a tenth more or less. */
  readonly verifyEveryMs: number;
  readonly factsEveryMs: number;
  /** The longest that the first status waits for the pods that are there: it would take them for gone. */
  readonly firstSightMs: number;
  readonly publish: PublishTiming;
}

interface Agent {
  readonly options: AgentOptions;
  readonly logger: Logger;
  readonly metrics: AgentMetrics;
  readonly host: Host;
  readonly node: NodeView;
  readonly keys: KeyDirectory;
  readonly pods: PlannedPods;
  readonly verifier: Verifier;
  readonly publisher: Publisher;
  readonly firstSight: PromiseWithResolvers<void>;
  readonly onError: (error: unknown) => void;
}

const lastWordMs = 2000;

/** Runs until the signal aborts; a lost runtime and a lost API server are waited for. Rejects only where it cannot start. */
export async function runAgent(options: AgentOptions, signal: AbortSignal): Promise<void> {
  const metrics = createMetrics();
  const procRoot = prepareProc(options);
  const workerOptions = {
    procRoot,
    signal,
    ...(options.workerUrl === undefined ? {} : { workerUrl: options.workerUrl }),
  };
  const worker = createNamespaceWorker(workerOptions);
  const writer = createConnectionNodeWriter(options.api);
  const agent = assemble(options, { procRoot, worker, writer, metrics });
  await readFacts(agent, signal);
  const server = await serve(agent, metrics, signal);
  options.logger.info({ nodeName: options.nodeName, port: server.port, keyIds: agent.keys.keyIds }, 'started');
  await Promise.all([
    connect(agent, signal),
    verifyForEver(agent, signal),
    readFactsForEver(agent, signal),
    publish(agent, signal),
  ]);
  await sayLastWord(agent);
  writer.close();
  await server.closed;
}

function prepareProc({ procRoot, procMount, logger }: AgentOptions): string {
  if (procMount === undefined) return procRoot;
  try {
    mountProc(procMount);
    return procMount;
  } catch (error) {
    logger.error({ error, procRoot }, 'no proc of its own: sysctls may be read-only');
    return procRoot;
  }
}

interface Machinery {
  readonly procRoot: string;
  readonly worker: NamespaceWorker;
  readonly writer: ConnectionNodeWriter;
  readonly metrics: Metrics;
}

function assemble(options: AgentOptions, { procRoot, worker, writer, metrics: registry }: Machinery): Agent {
  const { logger, caps, nodeName } = options;
  const metrics = agentMetrics(registry);
  const onError = (error: unknown): void => {
    metrics.countError(error);
    logger.warn({ error }, 'something on this node could not be done');
  };
  const notify = (): void => publisher.notify();
  const node = new NodeView(notify);
  const pods = new PlannedPods(notify);
  const keys = new KeyDirectory(options.keysDirectory, onError);
  const host: Host = { procRoot, worker, caps, facts: () => node.facts, nodeNetnsPath: () => node.netnsPath };
  const publisher = new Publisher({
    read: () => readStatus({ options, node, pods, keys, metrics }),
    write: (status, signal) => writer.write(nodeName, status, { signal }),
    onWrite: (error) => {
      metrics.countWrite(error !== undefined);
      if (error !== undefined) logger.warn({ error }, 'the ConnectionNode was not written');
    },
    timing: options.timing.publish,
  });
  const verifier = new Verifier(pods, host, onError);
  const firstSight = Promise.withResolvers<void>();
  return { options, logger, metrics, host, node, keys, pods, verifier, publisher, firstSight, onError };
}

function readStatus(agent: Pick<Agent, 'options' | 'node' | 'pods' | 'keys' | 'metrics'>) {
  const { options, node, pods, keys, metrics } = agent;
  const status = statusFor({
    version: options.version,
    runtime: node.runtime,
    isConnected: node.isSynchronized,
    keyIds: keys.keyIds,
    facts: node.facts,
    sandboxNofile: node.sandboxNofile,
    maximumNofile: options.caps.maximumNofile,
    pods: pods.all(),
  });
  metrics.seePods(status.pods);
  metrics.seeRuntime(node.isSynchronized);
  return status;
}

function serve({ options, node }: Agent, metrics: Metrics, signal: AbortSignal) {
  const notReady = [`not registered with the container runtime at ${options.nriSocketPath}`];
  const ready = (): true | readonly string[] => node.isSynchronized || notReady;
  return serveObservability({ port: options.observabilityPort, ready, metrics, signal });
}

function connect(agent: Agent, signal: AbortSignal): Promise<void> {
  const { options, host, pods, verifier, keys, node, onError } = agent;
  const inBackground = (task: (signal: AbortSignal) => Promise<void>): void => {
    void task(signal).catch((error: unknown) => signal.aborted || onError(error));
  };
  const handlers = podEvents({
    host,
    pods,
    verifier,
    judge: keys.judge,
    rereadKeys: () => keys.reread(),
    onSandboxNofile: (limit) => node.seeSandboxNofile(limit),
    onAdopted: () => agent.firstSight.resolve(),
    inBackground,
  });
  const onState = (state: PluginState): void => {
    seeState(agent, state);
    if (state.state === 'registered') inBackground((until) => readFacts(agent, until));
  };
  return runPlugin(
    { socketPath: options.nriSocketPath, name: 'connection-budget', index: '50', handlers, onState, onError },
    signal,
  );
}

function seeState({ node, logger, metrics }: Agent, state: PluginState): void {
  const wasConnected = node.runtime !== '';
  node.seePlugin(state);
  if (state.state === 'registered') logger.info({ runtime: node.runtime }, 'registered with the container runtime');
  if (state.state !== 'lost') return;
  metrics.countError(state.reason);
  if (wasConnected) logger.warn({ error: state.reason }, 'the container runtime is lost');
  else logger.debug({ error: state.reason }, 'no container runtime yet');
}

/** Finds what events do not tell: processes that were forked, keys that came, containers made while we synchronized. */
async function verifyForEver(
  { options, verifier, keys, publisher, onError }: Agent,
  signal: AbortSignal,
): Promise<void> {
  while (await pause(jittered(options.timing.verifyEveryMs), signal)) {
    try {
      if (keys.reread()) {
        verifier.judgeAgain(keys.judge);
        publisher.notify();
      }
      await verifier.verifyAll(signal);
    } catch (error) {
      if (!signal.aborted) onError(error);
    }
  }
}

async function readFactsForEver(agent: Agent, signal: AbortSignal): Promise<void> {
  while (await pause(jittered(agent.options.timing.factsEveryMs), signal)) await readFacts(agent, signal);
}

async function readFacts({ host, node, options, onError }: Agent, signal: AbortSignal): Promise<void> {
  const { procRoot, worker } = host;
  try {
    node.seeNode(await readNode({ procRoot, worker, runtimeNames: options.runtimeNames, onError, signal }));
  } catch (error) {
    if (!signal.aborted) onError(error);
  }
}

async function publish({ options, publisher, firstSight }: Agent, signal: AbortSignal): Promise<void> {
  await Promise.race([firstSight.promise, pause(options.timing.firstSightMs, signal)]);
  await publisher.run(signal);
}

async function sayLastWord({ node, publisher }: Agent): Promise<void> {
  node.leave();
  await publisher.writeNow(AbortSignal.timeout(lastWordMs));
}

/** False when the signal has aborted. */
async function pause(delayMs: number, signal: AbortSignal): Promise<boolean> {
  await sleep(delayMs, undefined, { signal }).catch(() => undefined);
  return !signal.aborted;
}

/** A tenth more or less, so that the nodes of a cluster do not move in step. */
const jittered = (delayMs: number): number => delayMs * (0.9 + Math.random() / 5);
