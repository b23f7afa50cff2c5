import { dirname } from 'node:path';

import { createConnectionNodeWriter } from '../kube/connection-node.ts';
import { mountProc } from '../linux/mount.ts';
import type { LinuxError } from '../linux/linux-error.ts';
import { createNamespaceWorker } from '../linux/namespace-worker.ts';
import { withQuickVisits } from '../linux/quick-visits.ts';
import { createMetrics, type Metrics } from '../observability/metrics.ts';
import { serveObservability } from '../observability/serve-observability.ts';
import { agentMetrics, type AgentSight, observeAgent } from './agent-metrics.ts';
import type { AgentOptions } from './agent-options.ts';
import { type Agent, assemble } from './assemble.ts';
import { brokenParts, type Pulse } from './broken-parts.ts';
import { connect } from './connect.ts';
import { giveBackForEver, observeFlowsForEver, readFacts, readFactsForEver, verifyForEver } from './look-after.ts';
import { pause } from './pause.ts';
import { reportsFor } from './report.ts';
import { becomeSoleAgent } from './sole-agent.ts';
import { runTogether } from './together.ts';

const lastWordMs = 2000;

/** Runs until the signal aborts; a lost runtime and a lost API server are waited for. Rejects where it cannot start, and where a part of it fails. */
export async function runAgent(options: AgentOptions, signal: AbortSignal): Promise<void> {
  const stop = new AbortController();
  try {
    await run(options, AbortSignal.any([signal, stop.signal]));
  } finally {
    // Whatever has been opened is closed: a process that is left open would pass for a living one.
    stop.abort();
  }
}

async function run(options: AgentOptions, signal: AbortSignal): Promise<void> {
  const registry = createMetrics({ eventLoopMonitoringPrecision: 100 });
  const metrics = agentMetrics(registry);
  const procRoot = prepareProc(options);
  const thread = createNamespaceWorker({
    procRoot,
    signal,
    onDiscarded: metrics.countDiscardedThread,
    ...(options.workerUrl === undefined ? {} : { workerUrl: options.workerUrl }),
  });
  const worker = withQuickVisits(thread, { procRoot, onStranded: (error) => leaveAtOnce(options, error) });
  const writer = createConnectionNodeWriter(options.api, (fields) =>
    options.logger.warn(
      { fields },
      'left out of the ConnectionNode: the CustomResourceDefinition is of an older version',
    ),
  );
  const agent = assemble(options, { procRoot, worker, writer, metrics });
  await readFacts(agent, signal);
  const server = await serve(agent, registry, signal);
  options.logger.info({ nodeName: options.nodeName, port: server.port, keyIds: agent.keys.keyIds }, 'started');
  try {
    await serveNode(agent, signal);
  } finally {
    writer.close();
    agent.flows.close();
    await agent.host.spread.close();
  }
  await server.closed;
}

/** What ran on would do so in the network of a pod. */
function leaveAtOnce({ logger }: AgentOptions, error: LinuxError): never {
  logger.fatal({ error }, 'the agent cannot come back from a network namespace, and ends');
  process.exit(1);
}

/** Nothing of it while another agent has the node. */
async function serveNode(agent: Agent, signal: AbortSignal): Promise<void> {
  const onWait = (): void => {
    agent.node.seeRival();
    agent.logger.info('waits for another agent of this node to end');
  };
  using sole = await becomeSoleAgent(dirname(agent.options.nriSocketPath), { onWait, signal });
  if (sole === undefined) return;
  agent.lastLook.atMs = performance.now();
  const parts = [connect, verifyForEver, observeFlowsForEver, giveBackForEver, readFactsForEver, publish];
  try {
    await runTogether(
      parts.map((part) => (until) => part(agent, until)),
      signal,
    );
  } finally {
    await sayLastWord(agent);
  }
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

function serve(agent: Agent, metrics: Metrics, signal: AbortSignal) {
  const { options, node } = agent;
  observeAgent(metrics, () => sightOf(agent));
  return serveObservability({
    port: options.observabilityPort,
    gates: () => [
      {
        gate: 'runtime',
        isOpen: node.isSynchronized,
        reason: `not registered with the container runtime: ${node.obstacle}`,
      },
    ],
    broken: () => brokenParts(pulseOf(agent)),
    metrics,
    signal,
  });
}

const pulseOf = ({ host, lastLook, options }: Agent): Pulse => ({
  threadFailuresInARow: host.worker.failuresInARow,
  sinceLastLookMs: performance.now() - lastLook.atMs,
  lookEveryMs: options.timing.verifyEveryMs,
});

const sightOf = ({ node, pods, keys, lateBefore }: Agent): AgentSight => ({
  pods: reportsFor({ lateBefore, pods: pods.reported() }),
  isSynchronized: node.isSynchronized,
  leasedAddresses: pods.all().reduce((sum, { addresses }) => sum + (addresses.leases?.count ?? 0), 0),
  acceptedKeys: keys.keyIds.length,
});

async function publish({ options, publisher, firstSight }: Agent, signal: AbortSignal): Promise<void> {
  await Promise.race([firstSight.promise, pause(options.timing.firstSightMs, signal)]);
  await publisher.run(signal);
}

async function sayLastWord({ node, publisher }: Agent): Promise<void> {
  node.leave();
  await publisher.writeNow(AbortSignal.timeout(lastWordMs));
}
