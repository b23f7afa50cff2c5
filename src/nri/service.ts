import { writeBody } from '../ttrpc/body.ts';
import { requireFitting } from '../ttrpc/message.ts';
import type { CallContext, Handlers } from '../ttrpc/server.ts';
import { answer, readOn, requirePart, type ReportError } from './answer.ts';
import {
  CreateContainerResponseSchema,
  type ConfigureRequest,
  type Container,
  type ContainerEvent,
  type Plugin,
  type PodSandbox,
  type StateChangeEvent,
  type SynchronizeRequest,
} from './gen/nri_pb.ts';
import {
  containerHandlerNames,
  eventMaskFor,
  podHandlerNames,
  type ContainerAdjustment,
  type ContainerHandlers,
  type PluginHandlers,
  type PodHandlers,
} from './handlers.ts';

/** What the runtime says of itself when it accepts the plugin. */
export interface Runtime {
  readonly name: string;
  readonly version: string;
}

export interface ServiceOptions {
  readonly handlers: PluginHandlers;
  readonly onError: ReportError;
  readonly onRegistered: (runtime: Runtime) => void;
  readonly onSynchronized: () => void;
}

/** At most: the tag and length of the payload in a ttrpc Response. */
const envelopeBytes = 6;

type PodPart = Pick<ContainerEvent, 'pod'>;
type ContainerPart = Pick<ContainerEvent, 'pod' | 'container'>;
type Notify<Part> = (event: Part, context: CallContext) => Promise<Record<string, never>>;

/** The plugin's side of the protocol for one connection: each call of the runtime becomes a call of a handler. */
export function pluginService(options: ServiceOptions): Handlers<typeof Plugin> {
  const pod = (name: keyof PodHandlers): Notify<PodPart> => podCall(options, name);
  const container = (name: keyof ContainerHandlers): Notify<ContainerPart> => containerCall(options, name);
  return {
    configure: (request) => configure(options, request),
    synchronize: synchronization(options),
    shutdown: () => ({}),
    runPodSandbox: pod('runPodSandbox'),
    stopPodSandbox: pod('stopPodSandbox'),
    removePodSandbox: pod('removePodSandbox'),
    createContainer: (event, context) => createContainer(options, event, context),
    postCreateContainer: container('postCreateContainer'),
    startContainer: container('startContainer'),
    postStartContainer: container('postStartContainer'),
    stopContainer: container('stopContainer'),
    removeContainer: container('removeContainer'),
    stateChange: (event, context) => stateChange(options, event, context),
  };
}

function configure(options: ServiceOptions, request: ConfigureRequest): { readonly events: number } {
  options.onRegistered({ name: request.runtimeName, version: request.runtimeVersion });
  return { events: eventMaskFor(options.handlers) };
}

/** A state above the message limit comes in parts, all but the last with `more`. */
function synchronization({
  handlers,
  onError,
  onSynchronized,
}: ServiceOptions): Handlers<typeof Plugin>['synchronize'] {
  let pods: readonly PodSandbox[] = [];
  let containers: readonly Container[] = [];
  return async (request: SynchronizeRequest, context) => {
    pods = pods.concat(request.pods);
    containers = containers.concat(request.containers);
    if (request.more) return { more: true };
    const question = { handler: 'synchronize', refusable: false, context, onError };
    await answer(question, (signal) => handlers.synchronize(pods, containers, signal));
    pods = [];
    containers = [];
    onSynchronized();
    return { more: false };
  };
}

/** Events of older runtimes; one that is not known here is answered and left alone. */
async function stateChange(
  options: ServiceOptions,
  event: StateChangeEvent,
  context: CallContext,
): Promise<Record<string, never>> {
  const podHandler = podHandlerNames.get(event.event);
  if (podHandler !== undefined) return podCall(options, podHandler)(event, context);
  const containerHandler = containerHandlerNames.get(event.event);
  if (containerHandler !== undefined) return containerCall(options, containerHandler)(event, context);
  return {};
}

async function createContainer(
  { handlers, onError }: ServiceOptions,
  { pod, container }: ContainerPart,
  context: CallContext,
): Promise<{ readonly adjust?: ContainerAdjustment }> {
  const question = { handler: 'createContainer', refusable: true, context, onError };
  const adjust = await answer(question, (signal) => {
    const given = handlers.createContainer(requirePart(pod, 'pod'), requirePart(container, 'container'), signal);
    return given instanceof Promise ? given.then(sendable) : sendable(given);
  });
  return adjust === undefined ? {} : { adjust };
}

/** Encodes an answer once in vain: a value that does not fit must be the handler's failure, not the pod's. */
function sendable(adjust: ContainerAdjustment | undefined): ContainerAdjustment | undefined {
  if (adjust === undefined) return undefined;
  requireFitting(writeBody(CreateContainerResponseSchema, { adjust }).length + envelopeBytes);
  return adjust;
}

function podCall({ handlers, onError }: ServiceOptions, name: keyof PodHandlers): Notify<PodPart> {
  const refusable = name === 'runPodSandbox';
  return async ({ pod }, context) => {
    if (name === 'runPodSandbox') await readOn();
    await answer({ handler: name, refusable, context, onError }, (signal) =>
      handlers[name]?.(requirePart(pod, 'pod'), signal),
    );
    return {};
  };
}

function containerCall({ handlers, onError }: ServiceOptions, name: keyof ContainerHandlers): Notify<ContainerPart> {
  return async ({ pod, container }, context) => {
    await answer({ handler: name, refusable: false, context, onError }, (signal) =>
      handlers[name]?.(requirePart(pod, 'pod'), requirePart(container, 'container'), signal),
    );
    return {};
  };
}
