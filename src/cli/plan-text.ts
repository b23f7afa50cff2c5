import { assumptionText } from '../planner/assumptions.ts';
import { limitText, numberText } from '../planner/explain.ts';
import type { Limit } from '../planner/limit.ts';
import { explainBinding } from '../planner/remedy.ts';
import type { PlannedBudget } from './plan-json.ts';
import { memoryText, nameOf, neededOfText, nofileText, setterText, verdictOf } from './plan-wording.ts';

/** Plans for people: a short page, and the same explained with the arithmetic and a bar per limit. */

const barWidth = 24;

/** "[######------------------]": how much of the capacity is needed; a full bar ends in ">" where more is needed. */
export const barText = ({ capacity, needed }: Pick<Limit, 'capacity' | 'needed'>): string => {
  if (capacity === undefined) return `[${'?'.repeat(barWidth)}]`;
  if (needed > capacity) return `[${'#'.repeat(barWidth - 1)}>]`;
  const filled = Math.round((barWidth * needed) / Math.max(1, capacity));
  return `[${'#'.repeat(filled)}${'-'.repeat(barWidth - filled)}]`;
};

const headline = (planned: PlannedBudget): string => {
  const { declared, planned: withHeadroom, reachable } = planned.plan.connections;
  return `${nameOf(planned)}: ${verdictOf(planned.plan)}. ${numberText(declared)} connections per pod declared, ${numberText(withHeadroom)} planned with headroom, ${numberText(reachable)} reachable`;
};

const bindingLines = ({ demand, plan }: PlannedBudget): readonly string[] => {
  if (plan.bindingLimit === undefined) return [];
  const { message, remedy } = explainBinding(demand, plan.bindingLimit);
  return ['', `Binds:  ${message}`, `Remedy: ${remedy}`];
};

const addressLines = ({ sourceAddresses: { extra, total } }: PlannedBudget['plan']): readonly string[] =>
  extra === 0
    ? []
    : [
        `  ${numberText(extra)} extra source ${extra === 1 ? 'address' : 'addresses'}, ${numberText(total)} in use to each target`,
      ];

const podLines = ({ plan }: PlannedBudget): readonly string[] => [
  '',
  'The pod gets',
  ...plan.containers.map((container) => `  RLIMIT_NOFILE ${nofileText(container)}`),
  ...plan.sysctls.map((sysctl) => `  ${sysctl.name} = ${sysctl.value}   (${setterText(sysctl)})`),
  ...addressLines(plan),
  `  ${memoryText(plan)}`,
  '',
  'Its nodes must offer at least',
  ...plan.nodeMinimums.map(({ name, minimum }) => `  ${name} = ${numberText(minimum)}`),
];

export const limitLine = (limit: Limit): string => {
  const where = [limit.stage, limit.subject, limit.flow].filter((part) => part !== '').join(' ');
  return `  ${barText(limit)} ${limit.status.padEnd(10)} ${`${where}: ${limit.limit}`.padEnd(52)} ${neededOfText(limit)}`;
};

const assumptionLines = ({ plan }: PlannedBudget): readonly string[] =>
  plan.assumptions.length === 0
    ? []
    : ['', 'Assumed', ...plan.assumptions.map((entry) => `  - ${assumptionText(entry)}`)];

export const planText = (planned: PlannedBudget): string =>
  [
    headline(planned),
    ...bindingLines(planned),
    ...podLines(planned),
    '',
    'Limits on the path: needed of what is there',
    ...planned.plan.limits.map(limitLine),
    ...assumptionLines(planned),
  ].join('\n');

/** One sentence with its arithmetic and one bar per limit. */
export const explainText = (planned: PlannedBudget): string =>
  [
    headline(planned),
    ...bindingLines(planned),
    '',
    ...planned.plan.limits.flatMap((limit) => [`${barText(limit)} ${limit.status}`, `  ${limitText(limit)}`]),
    ...assumptionLines(planned),
  ].join('\n');
