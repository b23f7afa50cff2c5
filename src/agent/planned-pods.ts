import type { Leases } from '../addresses/provider.ts';
import type { FlowReport } from '../api/connection-node.ts';
import type { Rlimit } from '../linux/libc.ts';
import type { ProcessIdentity } from '../linux/proc.ts';
import type { SocketTotals } from '../linux/sockets.ts';
import type { Finding } from './finding.ts';
import type { JudgedPlan } from './verify-signature.ts';

/** What was last seen of a container's limits or of a pod's sysctls. */
export interface Outcome {
  readonly isChecked: boolean;
  /** Something was set after the first container had started. */
  readonly isLate: boolean;
  readonly findings: readonly Finding[];
}

export const unchecked: Outcome = { isChecked: false, isLate: false, findings: [] };

/** What a pod has of its further addresses; `leases` undefined: none. */
export interface AddressOutcome extends Outcome {
  readonly leases?: Leases;
}

export const noAddresses: AddressOutcome = { isChecked: false, isLate: false, findings: [] };

/** How often each process of a container was raised, by "pid:start time". */
export type Raises = ReadonlyMap<string, number>;

export interface PlannedContainer {
  readonly id: string;
  readonly name: string;
  /** Of the first process, in the node's pid namespace; 0 before it is started. */
  readonly pid: number;
  /** The first process, once it was seen: its pid may be another's by then. */
  readonly init?: ProcessIdentity;
  readonly hasStopped: boolean;
  readonly raises: Raises;
  readonly nofile: Outcome;
}

export interface Usage {
  /** Of the fullest process, in percent of its soft limit. */
  readonly usedPercent?: number;
  readonly connections?: number;
}

/** A pod with an annotation of ours, whatever that is worth. */
export interface PlannedPod {
  readonly sandboxId: string;
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly annotation: string;
  readonly plan: JudgedPlan;
  /** Undefined: the pod is on its node's own network. */
  readonly netnsPath: string | undefined;
  /** The process that netnsPath goes by, where it does; of a pod on its node's network, that of its sandbox. */
  readonly netnsOwner: ProcessIdentity | undefined;
  /** Of the pod, as the runtime names it; "" where it does not. */
  readonly cgroupParent: string;
  /** What the pod's containers inherit, where its sandbox has a process. */
  readonly sandboxNofile: Rlimit | undefined;
  readonly sysctls: Outcome;
  readonly addresses: AddressOutcome;
  /** Of what chooses source addresses and ports for an unmodified program. */
  readonly spread: Outcome;
  /** The planned ones, by name: the last that was created. */
  readonly containers: ReadonlyMap<string, PlannedContainer>;
  readonly usage: Usage;
  /** Of its network, at the last look. */
  readonly totals?: SocketTotals | undefined;
  /** What each flow was last told to have; absent: Unknown. */
  readonly flows?: readonly FlowReport[];
}

export const lateParts = ['Limits', 'Sysctls', 'Addresses', 'Spread'] as const;
export type LatePart = (typeof lateParts)[number];

const lateness: Readonly<Record<LatePart, (pod: PlannedPod) => boolean>> = {
  Limits: ({ containers }) => containers.values().some(({ nofile }) => nofile.isLate),
  Sysctls: ({ sysctls }) => sysctls.isLate,
  Addresses: ({ addresses }) => addresses.isLate,
  Spread: ({ spread }) => spread.isLate,
};

interface Refused {
  readonly pod: PlannedPod;
  readonly atMs: number;
}

/** The kubelet tries a failed sandbox again after some seconds, at most 15 (kubelet, backOffPeriod and its jitter). */
const refusedMs = 60_000;

/** The planned pods of this node, by sandbox. Values are replaced, never changed. */
export class PlannedPods {
  readonly #pods = new Map<string, PlannedPod>();
  readonly #refused = new Map<string, Refused>();
  readonly #onChange: () => void;
  readonly #onLate: (part: LatePart) => void;

  /** `onLate`: something of a pod had to be set after the pod had started. */
  constructor(onChange: () => void, onLate: (part: LatePart) => void = () => undefined) {
    this.#onChange = onChange;
    this.#onLate = onLate;
  }

  get(sandboxId: string): PlannedPod | undefined {
    return this.#pods.get(sandboxId);
  }

  all(): readonly PlannedPod[] {
    return [...this.#pods.values()];
  }

  /** Those of all(), and after them the pods that could not start, also while that is tried again. */
  reported(): readonly PlannedPod[] {
    return [...this.all(), ...[...this.#refused.values()].map(({ pod }) => pod)];
  }

  put(pod: PlannedPod): void {
    const before = this.#pods.get(pod.sandboxId);
    for (const part of lateParts) {
      const wasLate = before !== undefined && lateness[part](before);
      if (lateness[part](pod) && !wasLate) this.#onLate(part);
    }
    this.#pods.set(pod.sandboxId, pod);
    this.#onChange();
  }

  /** Nothing where the pod is gone by now: whoever looked at it was too late. */
  update(sandboxId: string, change: (pod: PlannedPod) => PlannedPod): void {
    const pod = this.#pods.get(sandboxId);
    if (pod !== undefined) this.put(change(pod));
  }

  /** Nothing where the container is gone, or another of its name has been created since. */
  updateContainer(
    sandboxId: string,
    containerId: string,
    change: (container: PlannedContainer) => PlannedContainer,
  ): void {
    const pod = this.#pods.get(sandboxId);
    const container = pod?.containers.values().find(({ id }) => id === containerId);
    if (pod === undefined || container === undefined) return;
    this.put(withContainer(pod, change(container)));
  }

  /** Its sandbox is not made; the pod is remembered until it starts, or nobody tries any more. */
  refuse(pod: PlannedPod, atMs: number): void {
    this.#pods.delete(pod.sandboxId);
    this.#refused.set(pod.uid, { pod, atMs });
    this.#onChange();
  }

  /** A pod whose last sandbox was refused, and which has not started since. */
  refused(uid: string): PlannedPod | undefined {
    return this.#refused.get(uid)?.pod;
  }

  /** The pod starts, after one of its sandboxes was refused or none. */
  admit({ uid }: PlannedPod): void {
    if (this.#refused.delete(uid)) this.#onChange();
  }

  /** Pods that were deleted before they could start: the agent does not see that. */
  forgetRefused(nowMs: number): void {
    const given = [...this.#refused].filter(([, { atMs }]) => nowMs - atMs > refusedMs);
    for (const [uid] of given) this.#refused.delete(uid);
    if (given.length > 0) this.#onChange();
  }

  forget(sandboxId: string): void {
    if (this.#pods.delete(sandboxId)) this.#onChange();
  }
}

export const withContainer = (pod: PlannedPod, container: PlannedContainer): PlannedPod => ({
  ...pod,
  containers: new Map([...pod.containers, [container.name, container]]),
});
