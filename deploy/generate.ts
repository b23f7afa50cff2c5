import { parseArgs } from 'node:util';
import { checkout } from './bundle.ts';
import { generateInto, staleFiles } from './generated.ts';

/**
 * `npm run generate`: CRDs, the chart's generated files, deploy/install.yaml, the protocol's messages. With --check nothing
 * is written; what is not as it would be generated is named, and the exit status is 1.
 */

const options = { signal: new AbortController().signal, onProgress: say };

try {
  const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
  await (values.check ? check() : generateInto(checkout, options));
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}

async function check(): Promise<void> {
  const stale = await staleFiles(checkout, options);
  for (const path of stale) say(`stale: ${path}`);
  if (stale.length === 0) return;
  say('run `npm run generate` and commit what it writes');
  process.exitCode = 1;
}

function say(message: string): void {
  process.stderr.write(`generate: ${message}\n`);
}
