import type { FlowCounter, FlowSource } from '../linux/flows/flow-counter.ts';
import { LinuxError } from '../linux/linux-error.ts';
import type { SocketTotals } from '../linux/sockets.ts';
import type { CpuMeter } from './cpu-meter.ts';
import { flowsEveryMs, hasChanged } from './looking-pace.ts';
import { plannedDescriptorsOf } from './observe.ts';
import { flowUsageFor, plannedFlowsFor } from './planned-flows.ts';
import type { PlannedPod, PlannedPods } from './planned-pods.ts';
import { toldFlows } from './told-flows.ts';

/** What a round of passes was like. */
export interface FlowRound {
  readonly pods: number;
  readonly cpuMs: number;
  /** Until the next round may begin. */
  readonly waitMs: number;
  /** None: no pod's sockets could be counted. */
  readonly source: FlowSource | 'None';
  /** Why it is not the best source; undefined: it is. */
  readonly reason: string | undefined;
}

export interface FlowObserverOptions {
  readonly pods: PlannedPods;
  readonly cpuMeter: CpuMeter;
  /** At the first pod that has flows: loading takes some 30 ms. */
  readonly openCounter: () => FlowCounter;
  readonly onRound: (round: FlowRound) => void;
  /** Of each pod whose sockets could not be counted. */
  readonly onError: (error: unknown) => void;
}

/** Where nothing can be counted it is tried again after this time. */
const failedMs = 300_000;

/** Finds out what each flow uses: where totals have changed, and as often as a share of a core allows. */
export class FlowObserver {
  readonly #options: FlowObserverOptions;
  #counter: FlowCounter | undefined;
  #seen: ReadonlyMap<string, SocketTotals> = new Map();
  #totals = { totalsCpuMs: 0, totalsEveryMs: 15_000 };
  #nextMs = 0;

  constructor(options: FlowObserverOptions) {
    this.#options = options;
  }

  /** What the last look at totals cost, which takes its part of the budget. */
  seeTotals(totalsCpuMs: number, totalsEveryMs: number): void {
    this.#totals = { totalsCpuMs, totalsEveryMs };
  }

  /** A round, where it is time for one and something has changed. */
  async look(signal: AbortSignal): Promise<void> {
    if (performance.now() < this.#nextMs) return;
    const due = this.#due();
    if (due.length === 0) return;
    const round = await this.#round(due, signal);
    if (signal.aborted) return;
    const waitMs = round.source === 'None' ? failedMs : flowsEveryMs({ ...this.#totals, flowsCpuMs: round.cpuMs });
    this.#nextMs = performance.now() + waitMs;
    this.#options.onRound({ ...round, waitMs });
  }

  close(): void {
    this.#counter?.[Symbol.dispose]();
    this.#counter = undefined;
  }

  /** Pods that have flows, whose sockets have changed by the last look at totals. */
  #due(): readonly PlannedPod[] {
    const seen = new Map<string, SocketTotals>();
    const due: PlannedPod[] = [];
    for (const pod of this.#options.pods.all().filter(hasFlows)) {
      const { sandboxId, totals } = pod;
      if (totals === undefined) continue;
      const before = this.#seen.get(sandboxId);
      const isDue = hasChanged(totals, before);
      if (isDue) due.push(pod);
      seen.set(sandboxId, isDue ? totals : (before ?? totals));
    }
    this.#seen = seen;
    return due;
  }

  async #round(due: readonly PlannedPod[], signal: AbortSignal): Promise<Omit<FlowRound, 'waitMs'>> {
    const { openCounter, cpuMeter, onError } = this.#options;
    const counter = (this.#counter ??= openCounter());
    const failures: unknown[] = [];
    let cpuMs = 0;
    for (const pod of due) {
      cpuMs += await cpuMeter.measure(() =>
        this.#count(pod, counter, signal).catch((error) => void failures.push(error)),
      );
    }
    if (!signal.aborted) for (const error of failures) onError(error);
    const isOff = failures.length === due.length;
    if (isOff) this.#seen = new Map();
    return { pods: due.length, cpuMs, source: isOff ? 'None' : counter.source, reason: counter.reason };
  }

  /** Nothing for a pod that has ended meanwhile. */
  async #count({ sandboxId, netnsPath = '', plan }: PlannedPod, counter: FlowCounter, signal: AbortSignal) {
    if (plan.state === 'Rejected') return;
    const flows = plannedFlowsFor(plan.section.flows);
    try {
      const counts = await counter.count(
        netnsPath,
        flows.map(({ match }) => match),
        signal,
      );
      const usage = flowUsageFor(flows, counts);
      const planned = plannedDescriptorsOf(plan.section);
      this.#options.pods.update(sandboxId, (now) => ({ ...now, flows: toldFlows(usage, now.flows, planned) }));
    } catch (error) {
      if (!(error instanceof LinuxError) || error.kind !== 'Gone') throw error;
    }
  }
}

const hasFlows = ({ netnsPath, plan }: PlannedPod): boolean =>
  netnsPath !== undefined && plan.state === 'Verified' && plan.section.flows.length > 0;
