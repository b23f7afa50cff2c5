import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { interruptible, report } from '../cluster/command-line.ts';
import { runSoak } from './run.ts';
import { summaryOf } from './summary.ts';

/**
 * npm run soak [-- --minutes 60 --seed 7] — exit status 1 where anything was violated. The same seed inflicts the same faults in
 * the same order; when exactly they meet what is the machine's.
 */
const largestSeed = 1_000_000;

const options = z.strictObject({
  minutes: z.coerce.number().min(0.1).max(1440).default(60),
  seed: z.coerce
    .number()
    .int()
    .min(0)
    .max(largestSeed)
    .default(() => randomInt(largestSeed)),
});

const { values } = parseArgs({ options: { minutes: { type: 'string' }, seed: { type: 'string' } } });

await interruptible(async (signal) => {
  const { minutes, seed } = options.parse(values);
  report(`a soak of ${minutes} minutes with seed ${seed}`);
  const folder = await mkdtemp(join(tmpdir(), 'soak-'));
  try {
    const run = await runSoak({ minutes, seed, dir: join(folder, 'cluster'), print: report, signal });
    process.stdout.write(`${summaryOf(run)}\n`);
    if (run.soak.journal.violations.length > 0) process.exitCode = 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
