import { createHash } from 'node:crypto';

/** A sequence that its seed and name decide: what is drawn of one does not change the others. */
export interface Random {
  /** 0 ≤ n < 1 */
  readonly fraction: () => number;
  /** from ≤ n < to */
  readonly between: (from: number, to: number) => number;
  /** Throws where there is nothing to pick. */
  readonly pick: <T>(list: readonly T[]) => T;
  readonly shuffled: <T>(list: readonly T[]) => readonly T[];
}

export const randomOf = (seed: number, name: string): Random => {
  let drawn = 0;
  const fraction = (): number => {
    drawn += 1;
    const hash = createHash('sha256').update(`${seed} ${name} ${drawn}`).digest();
    return hash.readUInt32BE() / 2 ** 32;
  };
  return {
    fraction,
    between: (from, to) => from + fraction() * (to - from),
    pick: (list) => {
      const picked = list[Math.floor(fraction() * list.length)];
      if (picked === undefined) throw new Error('nothing to pick from');
      return picked;
    },
    shuffled: (list) =>
      list
        .map((value) => ({ value, at: fraction() }))
        .toSorted((a, b) => a.at - b.at)
        .map(({ value }) => value),
  };
};
