import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from '../cluster/lab/environment.ts';
import type { Decoder } from './decoder.ts';
import { decoders } from './decoders.ts';
import { type Finding, fuzz } from './engine.ts';

/**
 * `npm run fuzz -- [DECODER] [SECONDS]`: fuzzes one decoder or all, each so many seconds (60), guided by what it reaches.
 * Inputs that break a promise are kept in the cache; exit status 1 when there is one.
 */
const [first = 'all', second = '60'] = process.argv.slice(2);
const isNumber = /^\d+$/.test(first);
const [name, seconds] = isNumber ? ['all', Number(first)] : [first, Number(second)];
const chosen = decoders.filter((decoder) => name === 'all' || decoder.name === name);

const textOf = ({ error, input }: Finding): string =>
  `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n    input: ${JSON.stringify(input.toString('latin1').slice(0, 400))}`;

const keep = (decoder: Decoder, findings: readonly Finding[]): void => {
  const folder = join(cacheDirectory(), 'fuzz', decoder.name);
  mkdirSync(folder, { recursive: true });
  for (const [index, finding] of findings.entries()) {
    writeFileSync(join(folder, String(index)), finding.input);
    console.log(`  ${textOf(finding)}\n    kept: ${join(folder, String(index))}`);
  }
};

const run = async (decoder: Decoder): Promise<number> => {
  const endsAtMs = Date.now() + seconds * 1000;
  const isOver = (): boolean => Date.now() >= endsAtMs;
  const report = await fuzz(decoder, { seed: Date.now(), isOver, guided: true });
  decoder.end?.();
  const { executions, findings, slowestMs, corpus, blocks } = report;
  console.log(
    `${decoder.name.padEnd(20)} ${executions} executions, ${corpus} inputs reach ${blocks} blocks, slowest ${slowestMs.toFixed(0)} ms, ${findings.length} findings`,
  );
  keep(decoder, findings);
  return findings.length;
};

if (chosen.length === 0) console.error(`no decoder ${name}: ${decoders.map((decoder) => decoder.name).join(', ')}`);
let findings = chosen.length === 0 ? 1 : 0;
for (const decoder of chosen) findings += await run(decoder);
process.exitCode = findings === 0 ? 0 : 1;
