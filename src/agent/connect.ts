import { statSync } from 'node:fs';
import { dirname } from 'node:path';

import { type PluginState, runPlugin } from '../nri/plugin.ts';
import type { Agent } from './assemble.ts';
import { readFacts } from './look-after.ts';
import { podEvents } from './pod-events.ts';

/** Answers the container runtime until the signal aborts. Rejects with NriError where that can never come about again. */
export function connect(agent: Agent, signal: AbortSignal): Promise<void> {
  const { options, host, pods, verifier, keys, node, onError } = agent;
  // In a later turn of the event loop: what a task does at once would hold up the answer.
  const inBackground = (task: (signal: AbortSignal) => Promise<void>): void => {
    setImmediate(() => void task(signal).catch((error: unknown) => signal.aborted || onError(error)));
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
  const folderGone = Promise.withResolvers<never>();
  const onState = (state: PluginState): void => {
    seeState(agent, state);
    if (state.state === 'registered') inBackground((until) => readFacts(agent, until));
    if (state.state === 'lost' && isRemoved(dirname(options.nriSocketPath))) folderGone.reject(state.reason);
  };
  const plugin = {
    socketPath: options.nriSocketPath,
    name: 'connection-budget',
    index: '50',
    handlers,
    onState,
    onError,
  };
  return Promise.race([runPlugin(plugin, signal), folderGone.promise]);
}

/**
 * A folder that was removed on the node while it is mounted here: the runtime's new socket is in another one of that name,
 * which only a new container sees.
 */
const isRemoved = (folder: string): boolean => statSync(folder, { throwIfNoEntry: false })?.nlink === 0;

function seeState({ node, logger, metrics }: Agent, state: PluginState): void {
  const obstacleBefore = node.obstacle;
  node.seePlugin(state);
  if (state.state === 'registered') logger.info({ runtime: node.runtime }, 'registered with the container runtime');
  if (state.state !== 'lost') return;
  metrics.countError(state.reason);
  // Each attempt ends in one: only another reason is news.
  const level = node.obstacle === obstacleBefore ? 'debug' : 'warn';
  logger[level]({ error: state.reason }, 'not registered with the container runtime');
}
