import { statfsSync } from 'node:fs';
import { join } from 'node:path';

import type { PlanSection } from '../api/pod-annotation.ts';
import { LinuxError } from '../linux/linux-error.ts';
import type { NamespaceWorker } from '../linux/namespace-worker.ts';
import { listFolder } from '../linux/small-files.ts';
import { type NoSpreader, openSpreader, type Spreader } from '../linux/spread/spreader.ts';
import { type Finding, spreadFinding } from './finding.ts';
import { type Outcome, type PlannedPod, unchecked } from './planned-pods.ts';
import { podEntryOf, readPodNetwork } from './pod-network.ts';

export const spreadModes = ['off', 'pod-cgroup', 'root'] as const;

export interface SpreadSetting {
  /** Where the program is attached: to the cgroups of planned pods, or to the root for all processes of the node. */
  readonly mode: (typeof spreadModes)[number];
  /** spread.bpf.c, compiled. */
  readonly objectPath: string;
  /** The node's bpffs: what is pinned there outlives the agent. Where it is none, the program ends with the agent. */
  readonly bpffsFolder: string;
  /** The node's cgroups. */
  readonly cgroupFolder: string;
}

interface Surroundings {
  readonly setting: SpreadSetting;
  readonly worker: NamespaceWorker;
  readonly nodeNetnsPath: () => string;
}

interface SpreadTime {
  /** Whether a container of the pod may have started already. */
  readonly isLate: boolean;
  readonly signal: AbortSignal;
}

// linux/magic.h
const BPF_FS_MAGIC = 0xcafe_4a11;
const CGROUP2_SUPER_MAGIC = 0x6367_7270;

/** What is to be chosen for the program of a pod; undefined: nothing. */
function spreadPlannedFor({ sourceAddresses }: PlanSection): 'Tuples' | 'Addresses' | undefined {
  if (sourceAddresses.ports === 'Spread') return 'Tuples';
  return sourceAddresses.extra > 0 && sourceAddresses.spread === 'Transparent' ? 'Addresses' : undefined;
}

export const needsSpread = ({ plan }: Pick<PlannedPod, 'plan'>): boolean =>
  plan.state === 'Verified' && spreadPlannedFor(plan.section) !== undefined;

/** The spreader of this node, which is loaded when the first pod asks for it. */
export class PodSpread {
  readonly #surroundings: Surroundings;
  readonly #cookies = new Map<string, bigint>();
  #opening: Promise<Spreader | NoSpreader> | undefined;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  /** Writes the pod's entry and attaches the program to its cgroup. What cannot be done is a finding. */
  async apply(pod: PlannedPod, time: SpreadTime): Promise<Outcome> {
    const wanted = pod.plan.state === 'Verified' ? spreadPlannedFor(pod.plan.section) : undefined;
    if (wanted === undefined) return unchecked;
    try {
      return { ...(await this.#applied(pod, wanted, time)), isChecked: true };
    } catch (error) {
      if (!(error instanceof LinuxError)) throw error;
      return { isChecked: true, isLate: false, findings: [spreadFinding(wanted === 'Tuples', error.message)] };
    }
  }

  /** The pod has ended. */
  async leave({ sandboxId, cgroupParent }: PlannedPod): Promise<void> {
    const cookie = this.#cookies.get(sandboxId);
    this.#cookies.delete(sandboxId);
    const spreader = await this.#opening;
    if (cookie === undefined || spreader === undefined || spreader.form === 'None') return;
    spreader.removePod(cookie);
    if (this.#surroundings.setting.mode === 'pod-cgroup') detach(spreader, this.#cgroupFor(cgroupParent));
  }

  /**
   * Takes back what pods left that ended while no agent was there, and what another mode had attached. Loads the program
   * where a pod may ask for it: that takes 0.1 s, on a slow node more than a sandbox has left.
   */
  async settle(pods: readonly PlannedPod[], signal: AbortSignal): Promise<void> {
    const { mode } = this.#surroundings.setting;
    if (this.#opening === undefined && this.#pinned() === undefined && !this.#mayAttach()) return;
    const spreader = await this.#spreader(signal);
    if (spreader.form === 'None') return;
    if (mode === 'off') {
      spreader.remove();
      this.#opening = undefined;
      return;
    }
    if (mode === 'pod-cgroup' && isOfType(this.#root(), CGROUP2_SUPER_MAGIC)) spreader.detach(this.#root());
    // Of a pod whose first container is still to come the cookie may not be known yet.
    if (pods.some((pod) => needsSpread(pod) && !pod.spread.isChecked)) return;
    const alive = new Set(pods.flatMap(({ sandboxId }) => this.#cookies.get(sandboxId) ?? []));
    for (const cookie of spreader.pods()) if (!alive.has(cookie)) spreader.removePod(cookie);
    spreader.prune();
  }

  /** What is pinned goes on. */
  async close(): Promise<void> {
    const spreader = await this.#opening;
    if (spreader !== undefined && spreader.form !== 'None') spreader[Symbol.dispose]();
  }

  async #applied(pod: PlannedPod, wanted: 'Tuples' | 'Addresses', time: SpreadTime): Promise<Outcome> {
    const isOfPorts = wanted === 'Tuples';
    const no = (why: string): Outcome => ({ ...unchecked, findings: [spreadFinding(isOfPorts, why)] });
    if (this.#surroundings.setting.mode === 'off') return no('it is turned off on this node (agent.spread.mode)');
    const isAttached = hasAttachedAddresses(pod);
    if (isAttached && !isOfPorts) return no(attachedElsewhere);
    if (pod.netnsPath === undefined) return no("the pod is on its node's network, whose connections are left alone");
    const spreader = await this.#spreader(time.signal);
    if (spreader.form === 'None') return no(spreader.reason);
    const network = await readPodNetwork(pod, this.#surroundings.worker, time.signal);
    // An entry of an earlier agent has been there all the time; one of ours may have come without the rest.
    const isNew = pod.spread.isChecked
      ? pod.spread.findings.length > 0
      : spreader.statistics(network.cookie) === undefined;
    spreader.setPod(network.cookie, podEntryOf(network, wanted));
    this.#cookies.set(pod.sandboxId, network.cookie);
    const { form, reason } = spreader.attach(this.#cgroupFor(pod.cgroupParent));
    const shortfalls = [
      ...(isOfPorts && form === 'Addresses' ? [`addresses alone are: ${reason ?? ''}`] : []),
      ...(isAttached ? [attachedElsewhere] : []),
    ];
    const findings: readonly Finding[] = shortfalls.map((why) => spreadFinding(isOfPorts, why));
    return { isChecked: true, isLate: (time.isLate || time.signal.aborted) && isNew, findings };
  }

  async #spreader(signal: AbortSignal): Promise<Spreader | NoSpreader> {
    this.#opening ??= this.#open(signal);
    try {
      return await this.#opening;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }

  async #open(signal: AbortSignal): Promise<Spreader | NoSpreader> {
    const { setting, worker, nodeNetnsPath } = this.#surroundings;
    const [cookie] = await worker.run(nodeNetnsPath(), [{ operation: 'ReadNetnsCookie' }], signal);
    if (!cookie.ok) throw new LinuxError(cookie.failure);
    const bpffsPath = isOfType(setting.bpffsFolder, BPF_FS_MAGIC) ? setting.bpffsFolder : undefined;
    return openSpreader({ objectPath: setting.objectPath, bpffsPath, hostCookies: new Set([cookie.value]) });
  }

  /** What an agent before this one has left in the bpffs; undefined: nothing. */
  #pinned(): string | undefined {
    const { bpffsFolder } = this.#surroundings.setting;
    return isOfType(bpffsFolder, BPF_FS_MAGIC) ? listFolder(bpffsFolder)?.find(isOurs) : undefined;
  }

  /** Where version 1 is in use, the hierarchy of version 2 lies beside it. */
  #root(): string {
    const { cgroupFolder } = this.#surroundings.setting;
    return isOfType(cgroupFolder, CGROUP2_SUPER_MAGIC) ? cgroupFolder : join(cgroupFolder, 'unified');
  }

  /** Whether this node has, by its mode, a cgroup for the program at all. */
  #mayAttach(): boolean {
    const { mode, cgroupFolder } = this.#surroundings.setting;
    return mode === 'root' || (mode === 'pod-cgroup' && this.#root() === cgroupFolder);
  }

  #cgroupFor(cgroupParent: string): string {
    const { mode, cgroupFolder } = this.#surroundings.setting;
    const root = this.#root();
    if (mode === 'root') return root;
    if (root === cgroupFolder && cgroupParent !== '') return join(root, cgroupPathFor(cgroupParent));
    const why = 'pods have no cgroups of version 2 here; agent.spread.mode root needs none';
    throw new LinuxError({ kind: 'NotFound', syscall: 'bpf', message: why });
  }
}

const isOurs = (name: string): boolean => name.startsWith('spread-v');

/** Further addresses on another link than the pod's own: which of them fits depends on the route. */
const hasAttachedAddresses = ({ plan }: PlannedPod): boolean =>
  plan.state === 'Verified' && plan.section.sourceAddresses.provider === 'Multus';

const attachedElsewhere =
  'addresses of an attachment lead to its own network alone: the program must bind to them (spread Application)';

/** Its path, or the name of its slice alone: "a-b.slice" is in "a.slice" (systemd.slice(5)). */
export function cgroupPathFor(cgroupParent: string): string {
  if (cgroupParent.includes('/') || !cgroupParent.endsWith('.slice')) return cgroupParent;
  const parts = cgroupParent.slice(0, -'.slice'.length).split('-');
  return parts.map((_, at) => `${parts.slice(0, at + 1).join('-')}.slice`).join('/');
}

/** A cgroup that is gone has nothing attached. */
function detach(spreader: Spreader, cgroup: string): void {
  try {
    spreader.detach(cgroup);
  } catch (error) {
    if (!(error instanceof LinuxError) || error.kind !== 'Gone') throw error;
  }
}

function isOfType(path: string, magic: number): boolean {
  try {
    return statfsSync(path).type === magic;
  } catch {
    return false;
  }
}
