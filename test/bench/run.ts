import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * `npm run bench [-- NAME [ITS ARGUMENTS] …]`: the benches that are named, each with what follows its name, or all of them,
 * one after the other. `npm run bench -- list-watch 100000 1 planner` runs two.
 */
const suffix = '.bench.ts';
const names = (await readdir(import.meta.dirname)).filter((file) => file.endsWith(suffix));
const known = new Set(names.map((file) => file.slice(0, -suffix.length)));

interface Bench {
  readonly name: string;
  readonly args: readonly string[];
}

/** Throws where the first word is no bench. */
function benchesIn(words: readonly string[]): readonly Bench[] {
  if (words.length === 0) return [...known].toSorted().map((name) => ({ name, args: [] }));
  const benches: Bench[] = [];
  for (const word of words) {
    const current = benches.pop();
    if (current === undefined && !known.has(word)) throw new Error(`${word} is none of ${[...known].join(', ')}`);
    if (current !== undefined) benches.push(known.has(word) ? current : { ...current, args: [...current.args, word] });
    if (known.has(word)) benches.push({ name: word, args: [] });
  }
  return benches;
}

async function run({ name, args }: Bench): Promise<void> {
  console.log(`\n${[name, ...args].join(' ')}`);
  const child = spawn(process.execPath, [join(import.meta.dirname, `${name}${suffix}`), ...args], { stdio: 'inherit' });
  const [status] = (await once(child, 'exit')) as [number | null];
  if (status === 0) return;
  console.log(`${name} failed`);
  process.exitCode = 1;
}

try {
  for (const bench of benchesIn(process.argv.slice(2))) await run(bench);
} catch (error) {
  console.error(String(error));
  process.exitCode = 2;
}
