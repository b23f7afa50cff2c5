import type { Agent } from './assemble.ts';
import { giveBackLost } from './look-after-addresses.ts';
import { pause } from './pause.ts';
import { readNode } from './runtime-process.ts';

/** Finds what events do not tell: processes that were forked, keys that came, containers made while we synchronized. */
export async function verifyForEver(agent: Agent, signal: AbortSignal): Promise<void> {
  const { options, verifier, keys, pods, cpuMeter, flows, metrics, onError } = agent;
  const { verifyEveryMs } = options.timing;
  while (await pause(jittered(verifyEveryMs), signal)) {
    try {
      keys.reread();
      pods.forgetRefused(performance.now());
      const cpuMs = await cpuMeter.measure(() => verifier.verifyAll(signal));
      flows.seeTotals(cpuMs, verifyEveryMs);
      metrics.countLooking('Totals', cpuMs);
    } catch (error) {
      if (!signal.aborted) onError(error);
    }
  }
}

/** Beside the totals, which wait for one pod's pass at most: a round over very many sockets takes seconds. */
export async function observeFlowsForEver({ options, flows, onError }: Agent, signal: AbortSignal): Promise<void> {
  while (await pause(jittered(options.timing.verifyEveryMs), signal)) {
    await flows.look(signal).catch((error: unknown) => !signal.aborted && onError(error));
  }
}

/** Never before the pods that are there are known: it would take what they have for lost. */
export async function giveBackForEver(agent: Agent, signal: AbortSignal): Promise<void> {
  const { firstSight, options, pods, host, logger, onError } = agent;
  await Promise.race([firstSight.promise, untilAborted(signal)]);
  while (!signal.aborted) {
    try {
      const lost = await giveBackLost(pods, host, signal);
      await host.spread.settle(pods.all(), signal);
      if (lost > 0) logger.info({ sandboxes: lost }, 'gave back the addresses of pods that are gone');
    } catch (error) {
      if (!signal.aborted) onError(error);
    }
    await pause(jittered(options.timing.leasesEveryMs), signal);
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

export async function readFactsForEver(agent: Agent, signal: AbortSignal): Promise<void> {
  while (await pause(jittered(agent.options.timing.factsEveryMs), signal)) await readFacts(agent, signal);
}

export async function readFacts({ host, node, options, onError }: Agent, signal: AbortSignal): Promise<void> {
  const { procRoot, worker } = host;
  try {
    node.seeNode(await readNode({ procRoot, worker, runtimeNames: options.runtimeNames, onError, signal }));
  } catch (error) {
    if (!signal.aborted) onError(error);
  }
}

/** A tenth more or less, so that the nodes of a cluster do not move in step. */
const jittered = (delayMs: number): number => delayMs * (0.9 + Math.random() / 5);
