import { getSystemErrorName } from 'node:util';
import { numberText } from '../../planner/explain.ts';
import type { PhaseProof } from '../../prove/proof.ts';
import { nofileOf } from '../../prove/proof-state.ts';
import { nameOf } from '../plan-wording.ts';
import {
  isProven,
  measuredText,
  notesFor,
  proofVerdict,
  type ProvenBudget,
  stopText,
  toBeOpenedText,
} from '../prove.ts';
import { curveFigure, pointsOf } from './curve.ts';
import { pageFor } from './document.ts';
import { codeFor, type Html, html } from './html.ts';
import { limitTable } from './limits.ts';
import { pathFigures } from './path.ts';
import { tableOf } from './table.ts';

const percentOf = (part: number, whole: number): string => `${((100 * part) / Math.max(1, whole)).toFixed(2)}%`;

const reachBar = ({ state, seen, predicted }: PhaseProof, label: string): Html => {
  const declared = Math.max(state.plan.connections.declared, seen.reached, predicted.reached);
  return html`<svg class="bar reach ${label}" aria-hidden="true" focusable="false">
    <rect class="there" width="100%" height="100%" />
    <rect class="need" width="${percentOf(seen.reached, declared)}" height="100%" />
    <svg x="${percentOf(predicted.reached, declared)}" overflow="visible">
      <path class="predicted" d="M0 -1 l-5 -8 h10 z M-1 0 h2 v14 h-2 z" />
    </svg>
  </svg>`;
};

const phase = (label: string, proof: PhaseProof): Html =>
  html`<div class="phase">
    <h3>${label}</h3>
    ${reachBar(proof, label)}
    <p><b>${stopText(proof.seen)}</b></p>
    <p class="quiet">
      ▼ predicted: ${stopText(proof.predicted)}${proof.isAsPredicted ? undefined : html` <mark>NOT as predicted</mark>`}
    </p>
  </div>`;

interface Row {
  readonly name: string;
  readonly before: string;
  readonly planned: string;
}

const valueIn = ({ state }: PhaseProof, sysctl: string): string =>
  state.sysctls.find(({ name }) => name === sysctl)?.value ?? '–';

const settingRows = ({ proof: { before, after } }: ProvenBudget): readonly Row[] => {
  const names = [...new Set([...before.state.sysctls, ...after.state.sysctls].map(({ name }) => name))];
  return [
    ...after.state.demand.containers.map(({ name }, index) => ({
      name: `RLIMIT_NOFILE ${name}`.trim(),
      before: numberText(nofileOf(before.state, index)),
      planned: numberText(nofileOf(after.state, index)),
    })),
    ...names.map((name) => ({ name, before: valueIn(before, name), planned: valueIn(after, name) })),
  ];
};

const flowText = ({ result }: PhaseProof, at: number): string => {
  const flow = result.flows[at];
  if (flow === undefined) return '–';
  const stop = flow.stop === undefined ? '' : `, then ${getSystemErrorName(-flow.stop.errno)}`;
  return `${numberText(Math.min(flow.opened, flow.accepted))} in ${numberText(flow.seconds)} s${stop}`;
};

const flowRows = ({ proof: { before, after } }: ProvenBudget): readonly Row[] =>
  after.result.flows.map(({ flow }, at) => ({
    name: flow,
    before: flowText(before, at),
    planned: flowText(after, at),
  }));

const comparison = (caption: string, head: string, rows: readonly Row[]): Html =>
  tableOf({
    caption,
    heads: [head, 'before', 'planned'],
    rows: rows.map(({ name, before, planned }) => [codeFor(name), before, planned]),
  });

const notes = (proven: ProvenBudget): Html | undefined => {
  const said = notesFor(proven);
  return said.length === 0
    ? undefined
    : html`<h3>Note</h3>
        <ul>
          ${said.map((note) => html`<li>${note}</li>`)}
        </ul>`;
};

const proofSection = (proven: ProvenBudget, index: number): Html => {
  const id = `budget-${index + 1}`;
  const { before, after } = proven.proof;
  const planned = { budget: proven.budget, demand: after.state.demand, plan: after.state.plan };
  const curves = [
    { label: 'before', points: pointsOf(before.result) },
    { label: 'planned', points: pointsOf(after.result) },
  ] as const;
  return html`<article id="${id}" aria-labelledby="${id}-name">
    <h2 id="${id}-name">
      ${nameOf(proven)} <span class="pill ${isProven(proven) ? 'sufficient' : 'binding'}">${proofVerdict(proven)}</span>
    </h2>
    <p>
      ${toBeOpenedText(proven)}, for real, on this machine's kernel: in the pod as Kubernetes makes it, and as planned.
    </p>
    ${phase('before', before)} ${phase('planned', after)}
    ${curveFigure(`${id}-curve`, curves, planned.plan.connections.declared)}
    <p>Planned: ${measuredText(proven)}.</p>
    <div class="beside">
      <div>${comparison('What the pod had', 'Setting', settingRows(proven))}</div>
      <div>${comparison('What each flow reached', 'Flow', flowRows(proven))}</div>
    </div>
    ${notes(proven)}
    <h3 class="part">Limits of the planned pod on this machine</h3>
    ${pathFigures(id, planned)} ${limitTable(id, planned)}
  </article>`;
};

/** Proofs as one document that needs nothing else. */
export const proofPage = (budgets: readonly ProvenBudget[]): string =>
  pageFor({ title: 'Connection budget: proof', articles: budgets.map(proofSection), names: budgets.map(nameOf) });
