import { amountText, bytesText, numberText, placeText, reckoningText } from '../../planner/explain.ts';
import { type Lift, liftOf, type Setting } from '../../planner/lift.ts';
import type { Limit, Stage, Unit } from '../../planner/limit.ts';
import type { PlannedBudget } from '../plan-json.ts';
import { setterText } from '../plan-wording.ts';
import { barFor } from './bar.ts';
import { codeFor, type Html, html } from './html.ts';

/** From the pod's processes to the far end. */
const stages: readonly Stage[] = [
  'Process',
  'Socket',
  'Namespace',
  'Container',
  'Node',
  'Sidecar',
  'NAT',
  'LoadBalancer',
  'Clients',
  'Destination',
];

/** Without a unit where it stands beside another of the same unit; bytes have one that depends on their number. */
const bareText = (value: number, unit: Unit): string => (unit === 'bytes' ? bytesText(value) : numberText(value));

/** "1,024 → 69,262 descriptors": what was there, and what the plan makes of it. */
export const liftedText = ({ capacity = 0, unit }: Limit, lift: Lift): string =>
  `${bareText(capacity, unit)} → ${amountText(lift.capacity, unit)}`;

/** "34,210 of 28,232 → 55,296 ports"; `emphasised` is what is needed. */
export const neededOf = (limit: Limit, lift: Lift | undefined, emphasised: (needed: string) => Html): Html => {
  const { needed, capacity, unit } = limit;
  if (capacity === undefined) return html`${emphasised(amountText(needed, unit))} needed`;
  const there = lift === undefined ? amountText(capacity, unit) : liftedText(limit, lift);
  return html`${emphasised(bareText(needed, unit))} of ${there}`;
};

export const statusPill = ({ status }: Pick<Limit, 'status'>): Html =>
  html`<span class="pill ${status.toLowerCase()}">${status}</span>`;

/** A name for links to a limit: its place in the plan. */
export const limitId = (section: string, { plan }: PlannedBudget, limit: Limit): string =>
  `${section}-limit-${plan.limits.indexOf(limit) + 1}`;

const settingText = (setting: Setting, index: number): Html =>
  html`${index === 0 ? '' : '; '}${codeFor(setting.name)} ${setting.value}, ${setterText(setting)}`;

const liftParagraph = (lift: Lift | undefined): Html | undefined =>
  lift && html`<p class="lift">Lifted by ${lift.settings.map(settingText)}</p>`;

const limitRow = (section: string, planned: PlannedBudget, limit: Limit): Html => {
  const lift = liftOf(planned.demand, planned.plan, limit);
  const isFirst = limit === planned.plan.bindingLimit;
  return html`<tr role="row" class="limit${isFirst ? ' binds-first' : ''}" id="${limitId(section, planned, limit)}">
    <th role="rowheader" scope="row">${codeFor(limit.limit)} <span class="where">${placeText(limit)}</span></th>
    <td role="cell" class="gauge">
      ${barFor({ ...limit, lifted: lift?.capacity })}
      <span class="figures">${neededOf(limit, lift, (needed) => html`<b>${needed}</b>`)}</span>
    </td>
    <td role="cell" class="verdict">${statusPill(limit)}${isFirst ? html` <mark>binds first</mark>` : undefined}</td>
    <td role="cell" class="reckoning">
      <p>${reckoningText(limit)}</p>
      ${liftParagraph(lift)}
    </td>
  </tr>`;
};

const stageRows = (section: string, planned: PlannedBudget, stage: Stage): Html | undefined => {
  const limits = planned.plan.limits.filter((limit) => limit.stage === stage);
  if (limits.length === 0) return undefined;
  return html`<tbody role="rowgroup">
    <tr role="row" class="stage">
      <th role="rowheader" scope="rowgroup" colspan="4">${stage}</th>
    </tr>
    ${limits.map((limit) => limitRow(section, planned, limit))}
  </tbody>`;
};

/** Every limit of a plan once, in the order of the path, with its reckoning and what lifts it. */
export const limitTable = (section: string, planned: PlannedBudget): Html =>
  html`<table role="table" class="limits">
    <caption>
      Limits on the path: needed of what is there
    </caption>
    <thead role="rowgroup">
      <tr role="row">
        <th role="columnheader" scope="col">Limit</th>
        <th role="columnheader" scope="col">Needed of what is there</th>
        <th role="columnheader" scope="col">Status</th>
        <th role="columnheader" scope="col">Reckoned</th>
      </tr>
    </thead>
    ${stages.flatMap((stage) => stageRows(section, planned, stage) ?? [])}
  </table>`;
