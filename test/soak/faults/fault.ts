import type { Random } from '../random.ts';
import type { Soak } from '../soak-setting.ts';

/** One thing that is done to the cluster, and undone. */
export interface Fault {
  readonly kind: string;
  /** Pods start without us no better while it lasts, so their clock stands still. */
  readonly stopsTheClock: boolean;
  /** A process of ours ends by it. */
  readonly endsOurs?: true;
  /** Resolves when it is undone as far as it is ours to undo; gives what is worth to know of it. */
  readonly inflict: (soak: Soak, random: Random) => Promise<string>;
}

export const secondsText = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
