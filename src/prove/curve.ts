/** So many connections were held by both sides after so many milliseconds. */
export interface Sample {
  readonly ms: number;
  readonly held: number;
}

export interface CurveRecorder {
  readonly record: (sample: Sample) => void;
  /** What was recorded up to `end`, which is the last sample. */
  readonly until: (end: Sample) => readonly Sample[];
}

const mostSamples = 512;

/** Remembers a bounded number of samples: when it is full, every other one goes, and from then on half as many come. */
export const startCurve = (most = mostSamples): CurveRecorder => {
  let samples: readonly Sample[] = [{ ms: 0, held: 0 }];
  let every = 1;
  let offered = 0;
  return {
    record: (sample) => {
      offered += 1;
      if (offered % every !== 0) return;
      samples = [...samples, sample];
      if (samples.length < most) return;
      samples = samples.filter((_, index) => index % 2 === 0);
      every *= 2;
    },
    until: (end) => [...samples.filter(({ ms }, index) => index === 0 || ms < end.ms), end],
  };
};
