import { expect, test } from 'vitest';
import { bundle, type Program } from '../../deploy/bundle.ts';

/** The agent is on every node: what its program loads at its start is memory of every node. */
const mostBytes = 850_000;

/** By what is in a bundle, why it must not be in the agent's. */
const forbidden: Readonly<Record<string, RegExp>> = {
  'packages of the whole client': /^node_modules\/(undici|@kubernetes|commander)\//,
  "zod's languages": /^node_modules\/zod\/v4\/locales\/(?!en\.js$)/,
  'schemas of budgets and statuses': /^src\/api\/(connection-budget|connection-node|budget-status|flows|crd)\.ts$/,
  'the planner of plans': /^src\/planner\/plan\.ts$/,
};

async function faultsOf(program: Program): Promise<readonly string[]> {
  const { outputFiles, metafile } = await bundle([program]);
  const [text = ''] = outputFiles.map((file) => file.text);
  const [output] = Object.values(metafile.outputs);
  const inputs = Object.keys(output?.inputs ?? {});
  const isForbidden = (pattern: RegExp): boolean => inputs.some((input) => pattern.test(input));
  const importsOfHttp = output?.imports.filter(({ path, kind }) => path === 'node:http' && kind === 'import-statement');
  return [
    ...Object.entries(forbidden).flatMap(([what, pattern]) => (isForbidden(pattern) ? [what] : [])),
    ...(importsOfHttp?.length === 0 ? [] : ['an import of node:http, which reads undici']),
    ...(text.includes('Intl.') ? ["Intl, which reads ICU's tables"] : []),
    ...(text.length > mostBytes ? [`${text.length} bytes`] : []),
  ];
}

test('the bundle of the agent has nothing in it that costs every node memory for little', async () => {
  expect(await faultsOf({ name: 'agent', source: 'src/bin/agent.ts' })).toEqual([]);
});

test('what must not be in it is found', async () => {
  expect(await faultsOf({ name: 'heavy', source: 'test/deploy/heavy-program.ts' })).toEqual([
    'packages of the whole client',
    "zod's languages",
    'an import of node:http, which reads undici',
    "Intl, which reads ICU's tables",
    expect.stringMatching(/^\d+ bytes$/),
  ]);
});
