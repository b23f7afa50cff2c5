import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { parseConnectionBudget } from '../../src/api/budget-object.ts';
import { demandFor, nothingObserved } from '../../src/api/demand.ts';
import type { Demand } from '../../src/planner/demand.ts';
import { plan } from '../../src/planner/plan.ts';

/** Plans a second over the three examples, beside decoding one of them from JSON: what any admission review costs first. */

const examples = ['mqtt-broker', 'web-crawler', 'websocket-chat'].map((name) => {
  const object: unknown = parse(readFileSync(new URL(`../../examples/${name}.yaml`, import.meta.url), 'utf8'));
  const { budget } = parseConnectionBudget(object);
  if (budget === undefined) throw new Error(`example ${name} is not valid`);
  return { json: JSON.stringify(object), demand: demandFor(budget.spec, nothingObserved('default')) };
});

const perSecond = (work: (index: number) => unknown): number => {
  const rounds = 30_000;
  const rates = Array.from({ length: 7 }, () => {
    const start = process.hrtime.bigint();
    for (let round = 0; round < rounds; round += 1) work(round % examples.length);
    return (rounds * 1e9) / Number(process.hrtime.bigint() - start);
  });
  return rates.toSorted((a, b) => a - b)[3] ?? 0;
};

const demandAt = (index: number): Demand => examples[index]!.demand;
const plans = perSecond((index) => plan(demandAt(index)));
const decodes = perSecond((index) => JSON.parse(examples[index]!.json) as unknown);
console.log(`plan              ${Math.round(plans).toLocaleString('en-US')} plans/s on one core (median of 7)`);
console.log(`JSON.parse        ${Math.round(decodes).toLocaleString('en-US')} examples/s`);
console.log(`plan/JSON.parse   ${(plans / decodes).toFixed(2)}`);
