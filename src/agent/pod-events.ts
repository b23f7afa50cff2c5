import { existsSync } from 'node:fs';

import { planAnnotation } from '../api/names.ts';
import type { Rlimit } from '../linux/libc.ts';
import { type Container, ContainerState, type PodSandbox } from '../nri/gen/nri_pb.ts';
import type { ContainerAdjustment } from '../nri/handlers.ts';
import { adjustContainer, type NodeNofile, plannedNofile, settableNofileFor } from './adjust.ts';
import type { Host } from './host.ts';
import { recallAddresses } from './look-after-addresses.ts';
import {
  noAddresses,
  type PlannedContainer,
  type PlannedPod,
  type PlannedPods,
  unchecked,
  withContainer,
} from './planned-pods.ts';
import { readNetnsOwner, readNetnsPath, readSandboxNofile } from './sandbox.ts';
import { leaveSandbox, prepareSandbox } from './sandbox-life.ts';
import { sourceAddressesOf } from './source-addresses.ts';
import type { AnsweredEvents } from './timed-handlers.ts';
import type { Verifier } from './verify.ts';
import type { Judge, JudgedPlan } from './verify-signature.ts';

export interface PodEventOptions {
  readonly host: Host;
  readonly pods: PlannedPods;
  readonly verifier: Verifier;
  readonly judge: Judge;
  /** A plan did not verify: its key may be new. If it is, the pods that are known are judged again. */
  readonly rereadKeys: () => void;
  /** What the runtime gives containers by itself, seen at a sandbox. */
  readonly onSandboxNofile: (limit: Rlimit) => void;
  /** The pods from before have been looked at. */
  readonly onAdopted: () => void;
  /** Runs on after the runtime has its answer. */
  readonly inBackground: (task: (signal: AbortSignal) => Promise<void>) => void;
  readonly onError: (error: unknown) => void;
}

/**
 * What the agent does at each event of the runtime. Whatever else fails here, the pod starts as Kubernetes would start it.
 */
export function podEvents(options: PodEventOptions): AnsweredEvents {
  const { pods, verifier, inBackground } = options;
  return {
    synchronize: async (sandboxes, containers, until) => {
      adopt(options, sandboxes, containers);
      await recallAddresses(pods, options.host, until).catch(options.onError);
      inBackground(async (signal) => {
        await verifier.verifyAll(signal);
        options.onAdopted();
      });
    },
    runPodSandbox: async (sandbox, signal) => {
      remember(options, sandbox, 'WithKeys');
      await prepareSandbox(options, sandbox.id, signal);
    },
    createContainer: (sandbox, container) => create(options, sandbox, container),
    postStartContainer: (sandbox, container) => {
      started(options, sandbox, container);
      inBackground((signal) => verifier.verifyStarted(sandbox.id, container.id, signal));
    },
    stopContainer: (sandbox, { id }) =>
      pods.updateContainer(sandbox.id, id, (container) => ({ ...container, hasStopped: true })),
    stopPodSandbox: ({ id }, signal) => leaveSandbox(options, id, signal),
    removePodSandbox: ({ id }, signal) => leaveSandbox(options, id, signal),
  };
}

/** From memory and at once (50 µs more where the sandbox was too young): the runtime creates nothing else meanwhile. */
function create(options: PodEventOptions, sandbox: PodSandbox, container: Container): ContainerAdjustment | undefined {
  const { pods, host } = options;
  const pod = pods.get(sandbox.id) ?? remember(options, sandbox, 'FromMemory');
  // Also where the runtime has heard of a refusal too late.
  if (pod !== undefined) pods.admit(pod);
  if (pod?.plan.state !== 'Verified') return undefined;
  const { section } = pod.plan;
  if (plannedNofile(section, container.name) === undefined) return undefined;
  const sandboxNofile = pod.sandboxNofile ?? readSandboxNofile(sandbox, host.procRoot);
  const node = nodeNofileFor(sandboxNofile, container, host);
  const { adjustment, findings } = adjustContainer(section, container.name, { node, caps: host.caps });
  const told = host.addressFiles.adjustmentFor(sandbox.id, sourceAddressesOf(pod));
  const created = { ...newContainer(container), nofile: { ...unchecked, findings } };
  pods.put(withContainer({ ...pod, sandboxNofile }, created));
  return told === undefined ? adjustment : { ...adjustment, ...told };
}

function started(options: PodEventOptions, sandbox: PodSandbox, container: Container): void {
  const { pods } = options;
  const pod = pods.get(sandbox.id) ?? remember(options, sandbox, 'FromMemory');
  if (pod === undefined || !mayBePlanned(pod, container)) return;
  const known = pod.containers.get(container.name);
  const base = known?.id === container.id ? known : newContainer(container);
  pods.put(withContainer(pod, { ...base, pid: container.pid }));
}

/** Takes over what is there when the agent registers, also again after the runtime or the agent restarted. */
function adopt(options: PodEventOptions, sandboxes: readonly PodSandbox[], containers: readonly Container[]): void {
  const { pods, host } = options;
  const ofSandbox = Map.groupBy(containers.filter(isAlive), ({ podSandboxId }) => podSandboxId);
  const living = sandboxes.filter((sandbox) => ofSandbox.has(sandbox.id) || mayLive(sandbox, host));
  const listed = new Set(living.map(({ id }) => id));
  for (const { sandboxId } of pods.all()) if (!listed.has(sandboxId)) pods.forget(sandboxId);
  for (const sandbox of living) {
    const known = pods.get(sandbox.id);
    const pod = known === undefined ? remember(options, sandbox, 'WithKeys') : judgedAgain(options, known);
    if (pod === undefined) continue;
    pods.admit(pod);
    pods.put(withAlive(pod, ofSandbox.get(sandbox.id) ?? []));
  }
}

function withAlive(pod: PlannedPod, containers: readonly Container[]): PlannedPod {
  const planned = containers.filter((container) => mayBePlanned(pod, container));
  const known = new Map([...pod.containers.values()].map((container) => [container.id, container]));
  const alive = planned.map((container) => ({
    ...(known.get(container.id) ?? newContainer(container)),
    pid: container.pid,
  }));
  return { ...pod, containers: new Map(alive.map((container) => [container.name, container])) };
}

/** Undefined for a pod without an annotation of ours, which is left alone. */
function remember(
  options: PodEventOptions,
  sandbox: PodSandbox,
  how: 'WithKeys' | 'FromMemory',
): PlannedPod | undefined {
  const { host, pods, judge } = options;
  const sandboxNofile = how === 'WithKeys' ? readSandboxNofile(sandbox, host.procRoot) : undefined;
  if (sandboxNofile !== undefined) options.onSandboxNofile(sandboxNofile);
  const annotation = sandbox.annotations[planAnnotation];
  if (annotation === undefined) return undefined;
  const { id: sandboxId, uid, namespace, name } = sandbox;
  const plan = how === 'WithKeys' ? judgeByNewestKeys(options, annotation, namespace) : judge(annotation, namespace);
  const identity = { sandboxId, uid, namespace, name, annotation };
  const netnsPath = readNetnsPath(sandbox, host);
  const netns = { netnsPath, netnsOwner: readNetnsOwner(sandbox, netnsPath, host.procRoot) };
  const cgroupParent = sandbox.linux?.cgroupParent ?? '';
  // Why an earlier sandbox got no addresses is why this one has none, until it is given some.
  const addresses = pods.refused(uid)?.addresses ?? noAddresses;
  const nothing = { sysctls: unchecked, addresses, spread: unchecked, containers: new Map(), usage: {} };
  pods.put({ ...identity, plan, ...netns, cgroupParent, sandboxNofile, ...nothing });
  return pods.get(sandboxId);
}

function judgeByNewestKeys({ judge, rereadKeys }: PodEventOptions, annotation: string, namespace: string): JudgedPlan {
  const plan = judge(annotation, namespace);
  if (plan.state === 'Verified' || plan.fault !== 'UnknownKey') return plan;
  rereadKeys();
  return judge(annotation, namespace);
}

function judgedAgain(options: PodEventOptions, pod: PlannedPod): PlannedPod {
  if (pod.plan.state === 'Verified') return pod;
  return { ...pod, plan: judgeByNewestKeys(options, pod.annotation, pod.namespace) };
}

function nodeNofileFor(sandboxNofile: Rlimit | undefined, container: Container, host: Host): NodeNofile {
  const facts = host.facts();
  const explicit = container.rlimits.findLast(({ type }) => type === 'RLIMIT_NOFILE');
  const given = explicit && { soft: Number(explicit.soft), hard: Number(explicit.hard) };
  // A runtime written in Go has raised its own soft limit, which its containers do not inherit.
  const inherited = facts.runtimeNofile && { soft: 0, hard: facts.runtimeNofile.hard };
  return { runtime: given ?? sandboxNofile ?? inherited, settable: settableNofileFor(facts, sandboxNofile) };
}

/** All containers of a plan that did not verify: it may when its key has come. */
const mayBePlanned = ({ plan }: PlannedPod, { name }: Container): boolean =>
  plan.state === 'Rejected' || plannedNofile(plan.section, name) !== undefined;

/**
 * containerd lists sandboxes that have stopped until the kubelet removes them, without a process and a network. A runtime
 * that makes no process for a sandbox still makes its network.
 */
const mayLive = (sandbox: PodSandbox, host: Host): boolean =>
  sandbox.pid !== 0 || existsSync(readNetnsPath(sandbox, host) ?? '');

const isAlive = ({ state }: Container): boolean => state !== ContainerState.CONTAINER_STOPPED;

const newContainer = ({ id, name, pid }: Container): PlannedContainer => ({
  id,
  name,
  pid,
  hasStopped: false,
  raises: new Map(),
  nofile: unchecked,
});
