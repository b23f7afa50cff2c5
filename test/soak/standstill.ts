/**
 * A clock that stands still while a part is away that no pod can start without: etcd, the API server, the scheduler, the
 * kubelet, the runtime. What pods wait for on it they wait for with or without the operator.
 */
export interface Standstill {
  /** It stands still until what is returned is called; several may overlap. */
  readonly begin: () => () => void;
  /** Time that went by on it between two moments of the real clock. */
  readonly elapsedMs: (fromMs: number, toMs: number) => number;
}

interface Pause {
  readonly fromMs: number;
  toMs: number;
}

export const createStandstill = (nowMs: () => number): Standstill => {
  const pauses: Pause[] = [];
  let reasons = 0;
  return {
    begin: () => {
      reasons += 1;
      if (reasons === 1) pauses.push({ fromMs: nowMs(), toMs: Infinity });
      let isOver = false;
      return () => {
        if (isOver) return;
        isOver = true;
        reasons -= 1;
        const last = pauses.at(-1);
        if (reasons === 0 && last !== undefined) last.toMs = nowMs();
      };
    },
    elapsedMs: (fromMs, toMs) => toMs - fromMs - pauses.reduce((sum, pause) => sum + overlapMs(pause, fromMs, toMs), 0),
  };
};

const overlapMs = (pause: Pause, fromMs: number, toMs: number): number =>
  Math.max(0, Math.min(pause.toMs, toMs) - Math.max(pause.fromMs, fromMs));
