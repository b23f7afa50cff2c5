import { assumptionText } from '../../planner/assumptions.ts';
import { amountText, numberText, placeText } from '../../planner/explain.ts';
import { liftOf, type Setting } from '../../planner/lift.ts';
import type { Demand } from '../../planner/demand.ts';
import { explainBinding } from '../../planner/remedy.ts';
import type { PlannedBudget } from '../plan-json.ts';
import { memoryText, nameOf, nofileText, setterText, verdictOf } from '../plan-wording.ts';
import { barFor } from './bar.ts';
import { pageFor } from './document.ts';
import { codeFor, type Html, html } from './html.ts';
import { liftedText, limitTable } from './limits.ts';
import { pathFigures } from './path.ts';
import { tableOf } from './table.ts';

const scaleText = ({ scale: { pods, podsPerNode, surgePercent }, headroomPercent }: Demand): string =>
  [
    `${numberText(pods)} ${pods === 1 ? 'pod' : 'pods'}`,
    `${numberText(podsPerNode)} per node`,
    ...(surgePercent > 0 ? [`${surgePercent} % more in a rollout`] : []),
    `headroom ${headroomPercent} %`,
  ].join(', ');

const verdict = ({ demand, plan }: PlannedBudget): Html => {
  const { declared, planned, reachable } = plan.connections;
  return html`<div class="sum">
    <dl>
      <div>
        <dt>connections declared per pod</dt>
        <dd>${numberText(declared)}</dd>
      </div>
      <div>
        <dt>planned, with headroom</dt>
        <dd>${numberText(planned)}</dd>
      </div>
      <div>
        <dt>reachable</dt>
        <dd>${numberText(reachable)}</dd>
      </div>
    </dl>
    ${barFor({ needed: declared, capacity: reachable, status: plan.feasible ? 'Sufficient' : 'Binding' })}
    <p class="quiet">${scaleText(demand)}</p>
  </div>`;
};

const binding = ({ demand, plan }: PlannedBudget): Html | undefined => {
  if (plan.bindingLimit === undefined) return undefined;
  const { message, remedy } = explainBinding(demand, plan.bindingLimit);
  return html`<dl class="binds">
    <div>
      <dt>Binds</dt>
      <dd>${message}</dd>
    </div>
    <div>
      <dt>Remedy</dt>
      <dd>${remedy}</dd>
    </div>
  </dl>`;
};

/** What settings do that raise no limit. */
const purposes: Readonly<Record<string, string>> = {
  'net.ipv4.tcp_keepalive_time': 'idle connections stay known on the path',
  'net.ipv4.ip_local_reserved_ports': "the pod's own ports are not given to its connections",
};

/** What the setting of that name raises; of RLIMIT_NOFILE that of one container. */
const liftedBy = ({ demand, plan }: PlannedBudget, setting: string, container?: string): Html => {
  const lifted = plan.limits.flatMap((limit) => {
    const lift = liftOf(demand, plan, limit);
    const isMeant = container === undefined || container === limit.subject;
    if (lift === undefined || !isMeant || !lift.settings.some(({ name }) => name === setting)) return [];
    return [html`<p>${placeText(limit)}: ${liftedText(limit, lift)}</p>`];
  });
  return lifted.length === 0 ? html`${purposes[setting]}` : html`${lifted}`;
};

const settingName = (setting: Pick<Setting, 'name' | 'setBy'>): Html =>
  html`${codeFor(setting.name)} <span class="where">${setterText(setting)}</span>`;

const podTable = (planned: PlannedBudget): Html => {
  const { plan } = planned;
  const nofile = 'RLIMIT_NOFILE';
  const table = tableOf({
    caption: 'The pod gets',
    heads: ['Setting', 'Value', 'Lifts'],
    rows: [
      ...plan.containers.map(
        (container) =>
          [
            settingName({ name: nofile, setBy: 'Agent' }),
            nofileText(container),
            liftedBy(planned, nofile, container.name),
          ] as const,
      ),
      ...plan.sysctls.map((sysctl) => [settingName(sysctl), sysctl.value, liftedBy(planned, sysctl.name)] as const),
    ],
  });
  return html`${table}
    <p class="after">Memory: ${memoryText(plan)}</p>`;
};

const nodeTable = ({ plan: { nodeMinimums, limits } }: PlannedBudget): Html => {
  const unitOf = (name: string) => limits.find(({ limit }) => limit === name)?.unit ?? 'entries';
  return tableOf({
    caption: 'Its nodes must offer at least',
    heads: ['Setting', 'Minimum'],
    rows: nodeMinimums.map(({ name, minimum }) => [codeFor(name), amountText(minimum, unitOf(name))]),
  });
};

const assumptions = ({ plan }: PlannedBudget): Html | undefined =>
  plan.assumptions.length === 0
    ? undefined
    : html`<h3>Assumed</h3>
        <ul>
          ${plan.assumptions.map((entry) => html`<li>${assumptionText(entry)}</li>`)}
        </ul>`;

const planSection = (planned: PlannedBudget, index: number): Html => {
  const id = `budget-${index + 1}`;
  const { feasible } = planned.plan;
  return html`<article id="${id}" aria-labelledby="${id}-name">
    <h2 id="${id}-name">
      ${nameOf(planned)} <span class="pill ${feasible ? 'sufficient' : 'binding'}">${verdictOf(planned.plan)}</span>
    </h2>
    ${verdict(planned)} ${binding(planned)} ${pathFigures(id, planned)} ${limitTable(id, planned)} ${podTable(planned)}
    <div class="beside">
      <div>${nodeTable(planned)}</div>
      <div>${assumptions(planned)}</div>
    </div>
  </article>`;
};

/** Plans as one document that needs nothing else. */
export const planPage = (budgets: readonly PlannedBudget[]): string =>
  pageFor({ title: 'Connection budget: plan', articles: budgets.map(planSection), names: budgets.map(nameOf) });
