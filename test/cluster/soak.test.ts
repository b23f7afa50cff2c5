import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runSoak } from '../soak/run.ts';
import { summaryOf } from '../soak/summary.ts';
import { progress } from './operator-setting.ts';

/** Not tried again: what is random would hide a fault. */
const once = { retry: 0, timeout: 900_000 };

test('after a minute of random faults caches equal the server, and no pod start was blocked', once, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'soak-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const seed = randomInt(1_000_000);
  const options = { minutes: 1, seed, dir: join(folder, 'cluster'), print: progress.onProgress };
  const run = await runSoak({ ...options, signal: progress.signal });
  console.error(summaryOf(run));
  expect(run.soak.journal.violations).toEqual([]);
});
