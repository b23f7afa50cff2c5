import { sleep } from '../../../src/kube/deadline.ts';
import { type Random, randomOf } from '../random.ts';
import type { Soak } from '../soak-setting.ts';
import { containerFaults } from './container-faults.ts';
import { daemonFaults } from './daemon-faults.ts';
import type { Fault } from './fault.ts';
import { objectFaults } from './object-faults.ts';
import { clusterIsBack, operatorIsBack } from './recovery.ts';
import { streamFaults } from './stream-faults.ts';

/** One fault after the other in each of two rows; each comes once before any comes again. */

export interface Inflicting {
  /** From then on nothing of ours is killed or deleted. */
  readonly sparesOurs: () => boolean;
  readonly signal: AbortSignal;
}

/** Resolves when the signal has fired and the last fault is undone. */
export const inflictFaults = async (soak: Soak, inflicting: Inflicting): Promise<void> => {
  await Promise.all([
    row(soak, {
      name: 'parts',
      faults: [...daemonFaults, ...containerFaults, ...objectFaults],
      recovered: async () => {
        await clusterIsBack(soak);
        await operatorIsBack(soak);
      },
      ...inflicting,
    }),
    row(soak, { name: 'streams', faults: streamFaults, recovered: () => Promise.resolve(), ...inflicting }),
  ]);
};

interface Row extends Inflicting {
  readonly name: string;
  readonly faults: readonly Fault[];
  /** Before the next one; throws when it is not. */
  readonly recovered: () => Promise<unknown>;
}

const row = async (soak: Soak, { name, faults, recovered, sparesOurs, signal }: Row): Promise<void> => {
  const random = randomOf(soak.seed, name);
  let next: readonly Fault[] = [];
  while (!signal.aborted) {
    await sleep(random.between(2000, 8000), signal);
    if (signal.aborted) return;
    if (next.length === 0) next = random.shuffled(faults);
    const [fault, ...rest] = next;
    next = rest;
    if (fault !== undefined && !(fault.endsOurs === true && sparesOurs()))
      await inflictOne(soak, fault, { random, recovered });
  }
};

/** A fault that found nothing to break is told, and no harm. */
const inflictOne = async (
  soak: Soak,
  fault: Fault,
  { random, recovered }: Pick<Row, 'recovered'> & { readonly random: Random },
): Promise<void> => {
  const { journal, standstill } = soak;
  const runs = fault.stopsTheClock ? standstill.begin() : () => undefined;
  const ended = journal.fault(fault.kind);
  try {
    ended(await fault.inflict(soak, random));
  } catch (error) {
    ended(`not done: ${error instanceof Error ? error.message : String(error)}`);
    journal.count(`fault not done: ${fault.kind}`);
  }
  try {
    if (fault.stopsTheClock) await clusterIsBack(soak);
    runs();
    await recovered();
  } catch (error) {
    if (!soak.signal.aborted) journal.violation('part did not recover', `after ${fault.kind}: ${String(error)}`);
  } finally {
    runs();
  }
};
