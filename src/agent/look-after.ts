import type { Agent } from './assemble.ts';
import { pause } from './pause.ts';
import { readNode } from './runtime-process.ts';

/** Finds what events do not tell: processes that were forked, keys that came, containers made while we synchronized. */
export async function verifyForEver(
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
