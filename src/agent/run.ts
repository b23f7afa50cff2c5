import { createConnectionNodeWriter } from '../kube/connection-node.ts';
import { mountProc } from '../linux/mount.ts';
import { createNamespaceWorker } from '../linux/namespace-worker.ts';
import { createMetrics, type Metrics } from '../observability/metrics.ts';
import { serveObservability } from '../observability/serve-observability.ts';
import type { AgentOptions } from './agent-options.ts';
import { type Agent, assemble } from './assemble.ts';
import { connect } from './connect.ts';
import { readFacts, readFactsForEver, verifyForEver } from './look-after.ts';
import { pause } from './pause.ts';

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

function serve({ options, node }: Agent, metrics: Metrics, signal: AbortSignal) {
  const notReady = [`not registered with the container runtime at ${options.nriSocketPath}`];
  const ready = (): true | readonly string[] => node.isSynchronized || notReady;
  return serveObservability({ port: options.observabilityPort, ready, metrics, signal });
}

async function publish({ options, publisher, firstSight }: Agent, signal: AbortSignal): Promise<void> {
  await Promise.race([firstSight.promise, pause(options.timing.firstSightMs, signal)]);
  await publisher.run(signal);
}

async function sayLastWord({ node, publisher }: Agent): Promise<void> {
  node.leave();
  await publisher.writeNow(AbortSignal.timeout(lastWordMs));
}
