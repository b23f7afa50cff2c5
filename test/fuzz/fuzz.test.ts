import { expect, test } from 'vitest';
import { decoders } from './decoders.ts';
import { fuzz } from './engine.ts';

/** Some need a file or a connection for each input. Longer: `npm run fuzz`. */
const slow = new Set(['nri-session', 'key-files', 'budget-file', 'node-facts']);

test.each(decoders)('$name keeps its promise whatever comes', async (decoder) => {
  const executions = slow.has(decoder.name) ? 200 : 1000;
  const report = await fuzz(decoder, { seed: 2026, isOver: (done) => done >= executions });
  decoder.end?.();
  expect(report.findings.map(({ error, input }) => ({ error, input: input.toString('latin1') }))).toEqual([]);
});
