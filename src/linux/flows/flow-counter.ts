import { LinuxError, linuxErrorFrom } from '../linux-error.ts';
import type { NamespaceWorker } from '../namespace-worker.ts';
import type { FlowCount, FlowMatch } from './flow-match.ts';
import { countByIterator, countBySockDiag, type Pass } from './passes.ts';
import { loadTcpIterator, type TcpIterator } from './tcp-iterator.ts';

export const flowSources = ['Iterator', 'SockDiag'] as const;
export type FlowSource = (typeof flowSources)[number];

/** Counts connections by flow, with what this kernel offers; passes take turns. */
export interface FlowCounter extends Disposable {
  readonly source: FlowSource;
  /** Why it is not by the iterator, which takes less than half of the time; undefined: it is. */
  readonly reason: string | undefined;
  /** In the order of the matches. Throws LinuxError: Gone, InvalidInput, Aborted, or what neither source can do here. */
  readonly count: (
    netnsPath: string,
    matches: readonly FlowMatch[],
    signal: AbortSignal,
  ) => Promise<readonly FlowCount[]>;
}

interface FlowCounterOptions {
  /** flows.bpf.c, compiled. */
  readonly objectPath: string;
  readonly worker: NamespaceWorker;
}

/** Loads the program; where that fails the reason says so and sockets are told one by one. */
export function openFlowCounter({ objectPath, worker }: FlowCounterOptions): FlowCounter {
  return new BestCounter(worker, objectPath);
}

class BestCounter implements FlowCounter {
  readonly #worker: NamespaceWorker;
  #iterator: TcpIterator | undefined;
  #reason: string | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(worker: NamespaceWorker, objectPath: string) {
    this.#worker = worker;
    try {
      this.#iterator = loadTcpIterator(objectPath);
    } catch (error) {
      this.#doWithout(error);
    }
  }

  get source(): FlowSource {
    return this.#iterator === undefined ? 'SockDiag' : 'Iterator';
  }

  get reason(): string | undefined {
    return this.#reason;
  }

  async count(netnsPath: string, matches: readonly FlowMatch[], signal: AbortSignal): Promise<readonly FlowCount[]> {
    const pass = { worker: this.#worker, netnsPath, matches, signal };
    const turn = this.#turn.then(() => this.#count(pass));
    this.#turn = turn.catch(() => undefined);
    return await turn;
  }

  async #count(pass: Pass): Promise<readonly FlowCount[]> {
    if (this.#iterator === undefined) return await countBySockDiag(pass);
    try {
      return await countByIterator(this.#iterator, pass);
    } catch (error) {
      if (isOfThePass(error)) throw error;
      this.#doWithout(error);
      return await countBySockDiag(pass);
    }
  }

  [Symbol.dispose](): void {
    this.#iterator?.[Symbol.dispose]();
    this.#iterator = undefined;
  }

  #doWithout(error: unknown): void {
    this.#reason = linuxErrorFrom(error, { syscall: 'bpf', attempt: 'count sockets by an eBPF iterator' }).message;
    this[Symbol.dispose]();
  }
}

/** The other source would fail alike. */
const isOfThePass = (error: unknown): boolean =>
  error instanceof LinuxError && ['Gone', 'InvalidInput', 'Aborted', 'TimedOut', 'WorkerFailed'].includes(error.kind);
