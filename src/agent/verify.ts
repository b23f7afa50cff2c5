import { setImmediate as turn } from 'node:timers/promises';

import type { Rlimit } from '../linux/libc.ts';
import { LinuxError } from '../linux/linux-error.ts';
import {
  checkContainer,
  containerProcesses,
  type ProcessEntry,
  type ProcessTable,
  readProcess,
  readProcessTable,
} from '../linux/proc.ts';
import { plannedNofile } from './adjust.ts';
import { applySysctls, type ApplyTime } from './apply-sysctls.ts';
import { checkNofile } from './container-nofile.ts';
import { unknownNofileFinding } from './finding.ts';
import type { Host } from './host.ts';
import { verifyAddresses } from './look-after-addresses.ts';
import { readUsage } from './observe.ts';
import { pause } from './pause.ts';
import type { Outcome, PlannedContainer, PlannedPod, PlannedPods } from './planned-pods.ts';
import { needsSpread } from './pod-spread.ts';
import { hasEnded } from './sandbox.ts';
import type { Judge } from './verify-signature.ts';

const settleMs = 1000;

/** Looks at running pods, repairs what is below their plan, and writes down what it saw. Errors are told, not thrown. */
export class Verifier {
  readonly #pods: PlannedPods;
  readonly #host: Host;
  readonly #onError: (error: unknown) => void;

  constructor(pods: PlannedPods, host: Host, onError: (error: unknown) => void) {
    this.#pods = pods;
    this.#host = host;
    this.#onError = onError;
  }

  /** All planned pods; one scan of the processes serves them all. */
  async verifyAll(signal: AbortSignal): Promise<void> {
    const { procRoot } = this.#host;
    const pods = this.#pods.all().filter((pod) => pod.plan.state === 'Verified' && !hasEnded(pod, procRoot));
    if (pods.length === 0) return;
    await verifyAddresses(this.#pods, this.#host, signal).catch((error: unknown) => this.#onError(error));
    const table = await readProcessTable({ procRoot, signal });
    for (const { sandboxId } of pods) {
      // Events have their turn between two pods: hundreds would keep them for tens of milliseconds.
      await turn();
      await this.applySysctls(sandboxId, { isLate: true, signal });
      await this.#repairSpread(sandboxId, signal);
      for (const { id } of this.#pods.get(sandboxId)?.containers.values() ?? []) {
        this.#checkContainer(sandboxId, id, table);
      }
      await this.#observe(sandboxId, table, signal);
    }
  }

  /** A container that has just started: its first process alone, unless that had to be repaired. */
  async verifyStarted(sandboxId: string, containerId: string, signal: AbortSignal): Promise<void> {
    const hasRaised = this.#checkContainer(sandboxId, containerId, undefined);
    if (!hasRaised) return;
    // Until runc's init has become the program, and that has forked what it forks at its start.
    await pause(settleMs, signal);
    const table = await readProcessTable({ procRoot: this.#host.procRoot, signal });
    this.#checkContainer(sandboxId, containerId, table);
  }

  async applySysctls(sandboxId: string, time: ApplyTime): Promise<void> {
    const pod = this.#pods.get(sandboxId);
    if (pod === undefined) return;
    try {
      const sysctls = await applySysctls(pod, this.#host, time);
      this.#pods.update(sandboxId, (now) => ({ ...now, sysctls: laterOutcome(now.sysctls, sysctls) }));
    } catch (error) {
      if (!isGone(error)) this.#onError(error);
    }
  }

  async applySpread(sandboxId: string, time: ApplyTime): Promise<void> {
    const pod = this.#pods.get(sandboxId);
    if (pod === undefined || !needsSpread(pod)) return;
    try {
      const spread = await this.#host.spread.apply(pod, time);
      this.#pods.update(sandboxId, (now) => ({ ...now, spread: laterOutcome(now.spread, spread) }));
    } catch (error) {
      if (!isGone(error)) this.#onError(error);
    }
  }

  /** A pod without a container may be about to get its addresses, and what goes with them. */
  async #repairSpread(sandboxId: string, signal: AbortSignal): Promise<void> {
    const hasStarted = (this.#pods.get(sandboxId)?.containers.size ?? 0) > 0;
    if (hasStarted) await this.applySpread(sandboxId, { isLate: true, signal });
  }

  /** Judges again what did not verify; the webhook's new key may have come after the pod. */
  judgeAgain(judge: Judge): void {
    for (const { sandboxId, plan } of this.#pods.all()) {
      if (plan.state === 'Verified') continue;
      this.#pods.update(sandboxId, (pod) => ({ ...pod, plan: judge(pod.annotation, pod.namespace) }));
    }
  }

  #checkContainer(sandboxId: string, containerId: string, table: ProcessTable | undefined): boolean {
    const pod = this.#pods.get(sandboxId);
    const container = pod?.containers.values().find(({ id }) => id === containerId);
    const planned = pod === undefined ? undefined : plannedFor(pod, container?.name ?? '');
    if (container === undefined || planned === undefined || container.pid === 0 || container.hasStopped) return false;
    const checked = this.#checked(container, planned, table);
    this.#pods.updateContainer(sandboxId, containerId, (now) => ({
      ...checked,
      pid: now.pid,
      hasStopped: now.hasStopped || checked.hasStopped,
    }));
    return checked.nofile.isLate && !container.nofile.isLate;
  }

  #checked(container: PlannedContainer, planned: Rlimit, table: ProcessTable | undefined): PlannedContainer {
    const { name, raises, nofile } = container;
    try {
      const init = initOf(container, this.#host.procRoot);
      const processes = table === undefined ? [init] : processesOf(init, table, this.#host.procRoot);
      const check = checkNofile({ name, planned, processes, raises }, this.#host);
      const isLate = nofile.isLate || check.hasRaised;
      return {
        ...container,
        init,
        raises: check.raises,
        nofile: { isChecked: true, isLate, findings: check.findings },
      };
    } catch (error) {
      if (isGone(error)) return { ...container, hasStopped: true };
      this.#onError(error);
      const why = `not verified: ${error instanceof Error ? error.message : String(error)}`;
      const findings = [unknownNofileFinding(name, planned, why)];
      return { ...container, nofile: { ...nofile, isChecked: true, findings } };
    }
  }

  async #observe(sandboxId: string, table: ProcessTable, signal: AbortSignal): Promise<void> {
    const pod = this.#pods.get(sandboxId);
    if (pod === undefined) return;
    try {
      const seen = await readUsage(pod, this.#host, { table, signal });
      this.#pods.update(sandboxId, (now) => ({ ...now, ...seen }));
    } catch (error) {
      if (!isGone(error)) this.#onError(error);
    }
  }
}

/** Late once is late for ever: the program may have read the value when it started. */
const laterOutcome = (before: Outcome, now: Outcome): Outcome => ({ ...now, isLate: before.isLate || now.isLate });

const plannedFor = ({ plan }: PlannedPod, container: string): Rlimit | undefined =>
  plan.state === 'Verified' ? plannedNofile(plan.section, container) : undefined;

/** What the runtime told may be old: of an agent that was stopped for a while, or while many containers start. */
function initOf({ id, pid, init }: PlannedContainer, procRoot: string): ProcessEntry {
  const now = readProcess(pid, procRoot);
  if (init === undefined) checkContainer(pid, id, procRoot);
  if (init === undefined || init.startTimeTicks === now.startTimeTicks) return now;
  throw new LinuxError({ kind: 'Gone', syscall: 'read', message: `process ${pid} is a younger one by now` });
}

/** A first process that is younger than the table stands for itself. */
function processesOf(init: ProcessEntry, table: ProcessTable, procRoot: string): readonly ProcessEntry[] {
  const isListed = table.get(init.pid)?.startTimeTicks === init.startTimeTicks;
  return isListed ? containerProcesses(table, init.pid, procRoot) : [init];
}

const isGone = (error: unknown): boolean => error instanceof LinuxError && error.kind === 'Gone';
