import { describe, expect, it } from 'vitest';
import { parseConnectionBudget } from '../../../src/api/budget-object.ts';
import { demandFor } from '../../../src/api/demand.ts';
import { proofPage } from '../../../src/cli/page/proof-page.ts';
import type { FlowResult } from '../../../src/prove/flow-run.ts';
import { type Proof, prove } from '../../../src/prove/proof.ts';
import { type Element, elementsIn, parsePage, textOf, withClass } from './markup.ts';

const { budget } = parseConnectionBudget({
  apiVersion: 'connectionbudget.io/v1alpha1',
  kind: 'ConnectionBudget',
  metadata: { name: 'small' },
  spec: {
    selector: { matchLabels: { app: 'any' } },
    inbound: [
      { name: 'chat', port: 80, connections: 6000 },
      { name: 'push', port: 81, connections: 300 },
    ],
  },
});
const demand = demandFor(budget!.spec, { namespace: 'default', services: new Map(), clientPods: new Map() });
const proof = await prove(demand, {
  scale: 1,
  signal: AbortSignal.timeout(60_000),
  raisesHostLimits: false,
  onRaised: () => undefined,
  onProgress: () => undefined,
});

const pageOf = (changes: Partial<Proof> = {}, name = 'small'): Element =>
  parsePage(proofPage([{ budget: { ...budget!, name }, demand, proof: { ...proof, ...changes } }]));

/** The points of a polyline in percent of the chart: left to right, bottom to top. */
const pointsOf = (page: Element, line: 'before' | 'planned') => {
  const polyline = withClass(page, `held ${line}`).find(({ name }) => name === 'polyline');
  return polyline!.attributes['points']!.split(' ').map((pair) => {
    const [x = NaN, y = NaN] = pair.split(',').map(Number);
    return { x, y: 100 - y };
  });
};

const isRising = (values: readonly number[]): boolean => values.every((value, at) => value >= (values[at - 1] ?? 0));

describe('the page of a real proof', () => {
  const page = pageOf();
  const text = textOf(page);

  it('says what the text says: the verdict, both phases, what was predicted', () => {
    expect(text).toContain('default/small as predicted');
    expect(text).toContain('6,300 connections were to be opened');
    expect(withClass(page, 'phase').map((phase) => textOf(phase).replaceAll(' ▼', '▼').trim())).toEqual([
      'before 960, stopped by RLIMIT_NOFILE (Process) with EMFILE▼ predicted: 960, stopped by RLIMIT_NOFILE (Process) with EMFILE',
      'planned 6,300▼ predicted: 6,300',
    ]);
    expect(text).toMatch(
      /Planned: [\d,]+ connections\/s for [\d.]+ s, [\d.]+ KB of kernel memory for each end, 2 processes/,
    );
  });

  it.each([
    { line: 'before', held: 960 },
    { line: 'planned', held: 6300 },
  ] as const)('draws the curve $line from nothing to the $held that are held', ({ line, held }) => {
    const points = pointsOf(page, line);
    expect(points[0]).toEqual({ x: 0, y: 0 });
    expect(isRising(points.map(({ x }) => x)) && isRising(points.map(({ y }) => y))).toBe(true);
    expect(points.at(-1)!.y).toBeCloseTo((100 * held) / 8000, 1);
    expect(text).toContain(`${line}: ${held.toLocaleString('en-US')} connections after`);
  });

  it('has samples between the first connection and the last', () => {
    const [{ curve, seconds }] = proof.after.result.flows as [FlowResult];
    const between = curve.filter(({ held }) => held > 0 && held < 6000);
    expect(between.length).toBeGreaterThan(1);
    expect(curve.at(-1)).toEqual({ ms: seconds * 1000, held: 6000 });
  });

  it('names the chart and its axes for those who do not see it', () => {
    const chart = withClass(page, 'chart')[0]!;
    expect(
      elementsIn(chart)
        .filter(({ name }) => name === 'title' || name === 'desc')
        .map(textOf),
    ).toEqual([
      'Connections held over time, before and as planned',
      expect.stringMatching(/before: 960 .*; planned: 6,300 .*; 6,300 are declared/),
    ]);
    expect(withClass(page, 'axis').map(textOf)).toEqual(['connections held by both sides', 'seconds']);
  });

  it('compares what the pod had and what each flow reached', () => {
    expect(text).toMatch(/RLIMIT_NOFILE 1,024\s?6,994/); // 6,300 × 1.1 + 64
    expect(text).toMatch(/chat 960 in [\d.]+ s, then EMFILE\s?6,000 in/);
    expect(text).toMatch(/push 0 in [\d.]+ s, then EMFILE\s?300 in/);
  });

  it('has every limit of the planned pod once, with its status', () => {
    const statuses = withClass(page, 'limit').map((row) => textOf(withClass(row, 'pill')[0]!));
    expect(statuses.toSorted()).toEqual(proof.after.state.plan.limits.map(({ status }) => status).toSorted());
  });

  it('says where it is not as predicted', () => {
    const wrong = pageOf({
      after: { ...proof.after, predicted: { reached: 6200, stoppedBy: null }, isAsPredicted: false },
    });
    expect(textOf(wrong)).toContain('default/small NOT as predicted');
    expect(textOf(withClass(wrong, 'phase')[1]!)).toContain('predicted: 6,200 NOT as predicted');
    expect(textOf(withClass(wrong, 'phase')[0]!)).not.toContain('NOT');
  });

  it('shows a hostile name as it is', () => {
    const hostile = pageOf({}, '"><script>alert(1)</script>');
    expect(elementsIn(hostile).filter(({ name }) => name === 'script')).toEqual([]);
    expect(textOf(hostile)).toContain('default/"><script>alert(1)</script> as predicted');
  });
});
