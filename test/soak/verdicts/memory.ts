import type { Sample } from '../samples.ts';

/** Resident memory and descriptors of our processes over the time of the soak. */

const mebibyte = 1024 * 1024;
/** Largest resident size of one process, in MiB. */
const largestMiB: Readonly<Record<Sample['part'], number>> = { operator: 300, agent: 140 };
/** A process that was just started has yet to fill its heap. */
const warmAfterMs = 120_000;
const windowMs = 600_000;

export interface Window {
  readonly part: Sample['part'];
  readonly fromMs: number;
  readonly medianMiB: number;
  readonly largestMiB: number;
  readonly processes: number;
  readonly mostDescriptors: number;
}

/** Ten minutes each, from the first sample on. */
export const windowsOf = (samples: readonly Sample[]): readonly Window[] => {
  const startMs = Math.min(...samples.map(({ atMs }) => atMs));
  const parts = ['operator', 'agent'] as const;
  return parts.flatMap((part) => {
    const own = samples.filter((sample) => sample.part === part);
    const groups = Map.groupBy(own, ({ atMs }) => Math.floor((atMs - startMs) / windowMs));
    return [...groups].map(([index, all]) => windowFor(part, startMs + index * windowMs, all));
  });
};

const windowFor = (part: Sample['part'], fromMs: number, samples: readonly Sample[]): Window => {
  const sizes = samples.map(residentMiB).toSorted((a, b) => a - b);
  return {
    part,
    fromMs,
    medianMiB: sizes[Math.floor(sizes.length / 2)] ?? 0,
    largestMiB: sizes.at(-1) ?? 0,
    processes: new Set(samples.map(({ process }) => process)).size,
    mostDescriptors: Math.max(...samples.map(({ values }) => values.get('process_open_fds') ?? 0)),
  };
};

const residentMiB = ({ values }: Sample): number => (values.get('process_resident_memory_bytes') ?? 0) / mebibyte;

export const memoryFaults = (samples: readonly Sample[]): readonly string[] => {
  const large = windowsOf(samples)
    .filter((window) => window.largestMiB > largestMiB[window.part])
    .map(({ part, largestMiB: has }) => `${part} took ${has.toFixed(0)} MiB, at most ${largestMiB[part]} are to be`);
  const growing = [...Map.groupBy(samples, ({ process }) => process)].flatMap(([process, all]) =>
    growthOf(process, all),
  );
  return [...large, ...growing];
};

/** At most this share between the first and the last third of a process's warm life, of ten minutes at least. */
const mostGrowth = 0.25;

const growthOf = (process: string, samples: readonly Sample[]): readonly string[] => {
  const bornMs = samples[0]?.atMs ?? 0;
  const warm = samples.filter(({ atMs }) => atMs - bornMs > warmAfterMs);
  const lifeMs = (warm.at(-1)?.atMs ?? 0) - (warm[0]?.atMs ?? 0);
  if (lifeMs < windowMs) return [];
  const third = Math.floor(warm.length / 3);
  const [early, late] = [warm.slice(0, third), warm.slice(-third)].map(
    (part) => part.map(residentMiB).toSorted((a, b) => a - b)[Math.floor(third / 2)] ?? 0,
  );
  if (early === undefined || late === undefined || late < early * (1 + mostGrowth)) return [];
  return [
    `${process} grew from ${early.toFixed(0)} to ${late.toFixed(0)} MiB in ${Math.round(lifeMs / 60_000)} minutes`,
  ];
};
