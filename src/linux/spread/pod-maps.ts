import { readFileSync } from 'node:fs';

import { mapOf } from '../bpf/bpf-object.ts';
import type { Libbpf } from '../bpf/libbpf.ts';
import { emptyStatistics, podEntry, portSet, type SpreadPod, type Statistics, statisticsFrom } from './pod-entry.ts';

export type { Statistics } from './pod-entry.ts';

const cookieBytes = 8;

/** The entries of the pods, by the cookie of their network namespace. */
export class PodMaps {
  readonly #bpf: Libbpf;
  readonly #pods: number;
  readonly #reserved: number;
  readonly #statistics: number;
  readonly #cpus = possibleCpus();

  constructor(bpf: Libbpf, maps: ReadonlyMap<string, number>) {
    this.#bpf = bpf;
    this.#pods = mapOf(maps, 'pods');
    this.#reserved = mapOf(maps, 'reserved_ports');
    this.#statistics = mapOf(maps, 'pod_statistics');
  }

  /** The entry comes last: it is what the program looks for. */
  set(cookie: bigint, pod: SpreadPod): void {
    const [key, entry] = [keyFor(cookie), podEntry(pod)];
    this.#bpf.update(this.#reserved, key, portSet(pod.reservedPorts));
    if (this.statistics(cookie) === undefined) this.#bpf.update(this.#statistics, key, emptyStatistics(this.#cpus));
    this.#bpf.update(this.#pods, key, entry);
  }

  remove(cookie: bigint): boolean {
    const key = keyFor(cookie);
    const removed = this.#bpf.remove(this.#pods, key);
    this.#bpf.remove(this.#reserved, key);
    this.#bpf.remove(this.#statistics, key);
    return removed;
  }

  cookies(): readonly bigint[] {
    return this.#bpf.keys(this.#pods, cookieBytes).map((key) => key.readBigUInt64LE());
  }

  statistics(cookie: bigint): Statistics | undefined {
    const values = emptyStatistics(this.#cpus);
    return this.#bpf.lookUp(this.#statistics, keyFor(cookie), values) ? statisticsFrom(values) : undefined;
  }
}

function keyFor(cookie: bigint): Buffer {
  const key = Buffer.alloc(cookieBytes);
  key.writeBigUInt64LE(cookie);
  return key;
}

/** A value of a per-CPU map has a part for each CPU that could ever be there: "0-3" is four. */
function possibleCpus(): number {
  const ranges = readFileSync('/sys/devices/system/cpu/possible', 'utf8');
  return Number(/(\d+)\s*$/.exec(ranges)?.[1] ?? 0) + 1;
}
