import type { PluginHandlers } from '../nri/handlers.ts';
import type { RuntimeEvent } from './agent-metrics.ts';

/** Of all that a plugin may handle, what ours does. */
export type AnsweredEvents = Pick<Required<PluginHandlers>, RuntimeEvent>;

type SawEvent = (event: RuntimeEvent, seconds: number) => void;

/** The same handlers; what answers at once goes on doing so, for a promise more costs a turn of the loop. */
export function timedHandlers(handlers: AnsweredEvents, sawEvent: SawEvent): AnsweredEvents {
  const timed = <Arguments extends readonly unknown[], Answer>(
    event: RuntimeEvent,
    handle: (...given: Arguments) => Answer | Promise<Answer>,
  ) => {
    return (...given: Arguments): Answer | Promise<Answer> => {
      const startedMs = performance.now();
      const end = (): void => sawEvent(event, (performance.now() - startedMs) / 1000);
      const answer = handle(...given);
      if (answer instanceof Promise) return answer.finally(end);
      end();
      return answer;
    };
  };
  return {
    synchronize: timed('synchronize', handlers.synchronize),
    runPodSandbox: timed('runPodSandbox', handlers.runPodSandbox),
    createContainer: timed('createContainer', handlers.createContainer),
    postStartContainer: timed('postStartContainer', handlers.postStartContainer),
    stopContainer: timed('stopContainer', handlers.stopContainer),
    stopPodSandbox: timed('stopPodSandbox', handlers.stopPodSandbox),
    removePodSandbox: timed('removePodSandbox', handlers.removePodSandbox),
  };
}
