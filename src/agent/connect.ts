import { type PluginState, runPlugin } from '../nri/plugin.ts';
import type { Agent } from './assemble.ts';
import { readFacts } from './look-after.ts';
import { podEvents } from './pod-events.ts';
import { timedHandlers } from './timed-handlers.ts';

/** Answers the container runtime until the signal aborts. */
export function connect(agent: Agent, signal: AbortSignal): Promise<void> {
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
    onError,
  });
  const onState = (state: PluginState): void => {
    seeState(agent, state);
    if (state.state === 'registered') inBackground((until) => readFacts(agent, until));
  };
  const timed = timedHandlers(handlers, agent.metrics.sawEvent);
  return runPlugin(
    { socketPath: options.nriSocketPath, name: 'connection-budget', index: '50', handlers: timed, onState, onError },
    signal,
  );
}

function seeState({ node, logger, metrics }: Agent, state: PluginState): void {
  const wasConnected = node.runtime !== '';
  node.seePlugin(state);
  if (state.state === 'registered') {
    metrics.countRegistration();
    logger.info({ runtime: node.runtime }, 'registered with the container runtime');
  }
  if (state.state !== 'lost') return;
  metrics.countError(state.reason);
  if (wasConnected) logger.warn({ error: state.reason }, 'the container runtime is lost');
  else logger.debug({ error: state.reason }, 'no container runtime yet');
}
