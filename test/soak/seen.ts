import type { SoakCaches } from './caches.ts';
import type { PodStarts } from './pod-starts.ts';
import type { Requests } from './requests.ts';
import type { Samples } from './samples.ts';
import type { Soak } from './soak-setting.ts';

/** What looks on while load and faults go. */
export interface Seen {
  readonly minutes: number;
  readonly soak: Soak;
  readonly caches: SoakCaches;
  readonly starts: PodStarts;
  readonly samples: Samples;
  readonly requests: Requests;
}

export interface SoakRun extends Seen {
  /** Of the planned pods that ran at the end, by what their node said. */
  readonly reasons: ReadonlyMap<string, number>;
}
