import { setTimeout as sleep } from 'node:timers/promises';
import type { ReportError } from './answer.ts';
import { reconnectDelayMsFor } from './backoff.ts';
import type { NriError } from './error.ts';
import type { PluginHandlers } from './handlers.ts';
import type { Runtime } from './service.ts';
import { runSession } from './session.ts';

/**
 * connecting → registered → synchronized → lost → connecting → …, where `lost` may follow each of them. Only while
 * synchronized does every new pod pass through the handlers.
 */
export type PluginState =
  | { readonly state: 'connecting' }
  | { readonly state: 'registered'; readonly runtime: Runtime }
  | { readonly state: 'synchronized' }
  | { readonly state: 'lost'; readonly reason: NriError };

export interface PluginOptions {
  /** Of the runtime; usually /var/run/nri/nri.sock. */
  readonly socketPath: string;
  readonly name: string;
  /** Two digits: the plugin's place in the order of invocation. */
  readonly index: string;
  readonly handlers: PluginHandlers;
  readonly onState: (state: PluginState) => void;
  /** Told of each event that was answered without its handler; neither callback may throw. */
  readonly onError: ReportError;
}

/** Keeps the plugin registered with the runtime, through restarts and absences, until the signal aborts. */
export async function runPlugin(options: PluginOptions, signal: AbortSignal): Promise<void> {
  let attempt = 0;
  const session = {
    ...options,
    onRegistered: (runtime: Runtime): void => options.onState({ state: 'registered', runtime }),
    onSynchronized: (): void => {
      attempt = 0;
      options.onState({ state: 'synchronized' });
    },
  };
  while (!signal.aborted) {
    options.onState({ state: 'connecting' });
    options.onState({ state: 'lost', reason: await runSession(session, signal) });
    await sleep(reconnectDelayMsFor(attempt, Math.random()), undefined, { signal }).catch(() => undefined);
    attempt += 1;
  }
}
