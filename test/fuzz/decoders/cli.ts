import { readFileSync } from 'node:fs';
import { demandFor } from '../../../src/api/demand.ts';
import { planJson } from '../../../src/cli/plan-json.ts';
import { explainText, planText } from '../../../src/cli/plan-text.ts';
import { planPage } from '../../../src/cli/page/plan-page.ts';
import { parseNodeFile } from '../../../src/cli/node-file.ts';
import { InputError } from '../../../src/cli/input-file.ts';
import { type BudgetFile, parseBudgets } from '../../../src/cli/read-budgets.ts';
import { type Plan, plan } from '../../../src/planner/plan.ts';
import { outboundBudget } from '../../webhook/budgets.ts';
import { type Decoder, requireTrue } from '../decoder.ts';

const example = (name: string): string =>
  readFileSync(new URL(`../../../examples/${name}.yaml`, import.meta.url), 'utf8');

const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'messaging' },
  spec: { clusterIP: 'None', ports: [{ name: 'a', port: 80 }] },
};
const slice = {
  kind: 'EndpointSlice',
  metadata: { namespace: 'messaging', labels: { 'kubernetes.io/service-name': 'web' } },
  ports: [{ name: 'a', port: 80 }],
  endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true } }],
};

/** What a terminal obeys: controls but for line ends, and what turns the direction of text. */
const commands = /[^\P{Cc}\n]|\p{Bidi_Control}/u;

const refusal = (read: () => unknown): string => {
  try {
    read();
    return '';
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
};

const tellPlans = ({ budgets, observedFor }: BudgetFile): void => {
  for (const budget of budgets) {
    const demand = demandFor(budget.spec, observedFor(budget));
    const planned = { budget, demand, plan: plan(demand, undefined) };
    const text = `${planText(planned)}${explainText(planned)}`;
    requireTrue(!commands.test(text) && !/NaN|undefined|Infinity/.test(text), 'a plan is told in plain numbers');
    const json = JSON.stringify(planJson(planned));
    requireTrue(!json.includes('NaN'), 'a plan is JSON');
    requireTrue(!commands.test(planPage([planned])), 'a page is plain');
  }
};

const yamlWords = [
  '&a ',
  '*a',
  '<<: *a',
  '!!binary ',
  '!!set ',
  '!x ',
  '%YAML 1.1\n',
  '---\n',
  '...\n',
  '? ',
  '- ',
  ': ',
  '|\n',
  '>-\n',
  '{',
  '[',
  '0x',
  '.inf',
  '.nan',
  '__proto__: ',
  '\u0085',
  '\u202e',
  '\t',
  '#',
];

const budgetFile: Decoder = {
  name: 'budget-file',
  seeds: [
    ...['quickstart', 'web-crawler', 'mqtt-broker', 'source-addresses', 'websocket-chat'].map(example),
    JSON.stringify(outboundBudget()),
    JSON.stringify({ kind: 'List', items: [outboundBudget(), service, slice] }),
    'a: &a [x, x]\nb: &b [*a, *a]\nc: {<<: *b}\n',
  ],
  words: yamlWords,
  check: (input) => {
    let file: BudgetFile | undefined;
    const message = refusal(() => {
      file = parseBudgets('FILE', input.toString('utf8'));
    });
    requireTrue(file !== undefined || message.startsWith('FILE: '), 'a refusal names the file');
    requireTrue(!commands.test(message), 'a refusal does not command a terminal');
    if (file !== undefined) tellPlans(file);
  },
};

const facts = {
  kind: 'NodeFacts',
  facts: {
    nrOpen: 1_048_576,
    fileMax: 9_007_199_254_740_991,
    somaxconn: 4096,
    conntrackMax: 262_144,
    memoryBytes: 8e9,
  },
};

const demand = demandFor(parseBudgets('FILE', JSON.stringify(outboundBudget())).budgets[0]!.spec, {
  namespace: 'messaging',
  services: new Map(),
  clientPods: new Map(),
});

const isTold = ({ limits }: Plan): boolean =>
  limits.every(({ capacity = 0, needed }) => [capacity, needed].every((number) => Number.isFinite(number)));

const nodeFile: Decoder = {
  name: 'node-facts',
  seeds: [JSON.stringify(facts), 'kind: NodeFacts\nfacts:\n  nrOpen: 1048576\n'],
  words: yamlWords,
  check: (input) => {
    let node: ReturnType<typeof parseNodeFile> | undefined;
    const message = refusal(() => {
      node = parseNodeFile('FILE', input.toString('utf8'));
    });
    requireTrue(node !== undefined || message.startsWith('FILE: '), 'a refusal names the file');
    requireTrue(!commands.test(message), 'a refusal does not command a terminal');
    if (node !== undefined) requireTrue(isTold(plan(demand, node)), 'numbers are numbers');
  },
};

export const cliDecoders: readonly Decoder[] = [budgetFile, nodeFile];
