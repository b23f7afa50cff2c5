import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  Event,
  type Container,
  type ContainerAdjustment as AdjustmentMessage,
  type ContainerAdjustmentSchema,
  type PodSandbox,
} from './gen/nri_pb.ts';

/** What is to be changed in a container before it is created. Rlimits are appended, and the last of a type wins. */
export type ContainerAdjustment = Exclude<MessageInitShape<typeof ContainerAdjustmentSchema>, AdjustmentMessage>;

type PodHandler = (pod: PodSandbox, signal: AbortSignal) => void | Promise<void>;

type ContainerHandler = (pod: PodSandbox, container: Container, signal: AbortSignal) => void | Promise<void>;

/**
 * What a plugin does at each event; the runtime sends only those that have a handler. It waits for the answer (2 s by
 * default, then it drops the plugin), so a handler that needs longer is answered for, reported, and its signal aborts.
 * Handlers run concurrently. What they throw is reported and never fails a pod, except RefuseCreation from
 * runPodSandbox and createContainer.
 */
export interface PluginHandlers extends PodHandlers, ContainerHandlers {
  /** All that exists at registration, also after the runtime restarted. What is created meanwhile is not sent again. */
  readonly synchronize: (
    pods: readonly PodSandbox[],
    containers: readonly Container[],
    signal: AbortSignal,
  ) => void | Promise<void>;
  readonly createContainer: (
    pod: PodSandbox,
    container: Container,
    signal: AbortSignal,
  ) => ContainerAdjustment | undefined | Promise<ContainerAdjustment | undefined>;
}

export interface PodHandlers {
  /** The pod's network namespace is set up, and it has no container yet. */
  readonly runPodSandbox?: PodHandler;
  readonly stopPodSandbox?: PodHandler;
  readonly removePodSandbox?: PodHandler;
}

export interface ContainerHandlers {
  readonly postCreateContainer?: ContainerHandler;
  readonly startContainer?: ContainerHandler;
  readonly postStartContainer?: ContainerHandler;
  readonly stopContainer?: ContainerHandler;
  readonly removeContainer?: ContainerHandler;
}

/** The events with a handler each, without createContainer, which alone has an answer. */
export const podHandlerNames: ReadonlyMap<Event, keyof PodHandlers> = new Map([
  [Event.RUN_POD_SANDBOX, 'runPodSandbox'],
  [Event.STOP_POD_SANDBOX, 'stopPodSandbox'],
  [Event.REMOVE_POD_SANDBOX, 'removePodSandbox'],
]);

export const containerHandlerNames: ReadonlyMap<Event, keyof ContainerHandlers> = new Map([
  [Event.POST_CREATE_CONTAINER, 'postCreateContainer'],
  [Event.START_CONTAINER, 'startContainer'],
  [Event.POST_START_CONTAINER, 'postStartContainer'],
  [Event.STOP_CONTAINER, 'stopContainer'],
  [Event.REMOVE_CONTAINER, 'removeContainer'],
]);

/** The mask that asks the runtime for the events that have a handler: 1 << (event - 1) for each. */
export function eventMaskFor(handlers: PluginHandlers): number {
  const handled = [...podHandlerNames, ...containerHandlerNames].filter(([, name]) => handlers[name] !== undefined);
  return handled.reduce((mask, [event]) => mask | bitOf(event), bitOf(Event.CREATE_CONTAINER));
}

function bitOf(event: Event): number {
  return 1 << (event - 1);
}
