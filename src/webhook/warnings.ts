import type { ConnectionBudget } from '../api/budget-object.ts';
import { enabledLabel } from '../api/names.ts';
import type { AttachmentOffer } from '../api/demand.ts';
import type { PodPlan } from '../api/plan-section.ts';
import type { Labels } from '../api/selector.ts';
import type { Plan } from '../planner/plan.ts';

/** Short sentences that kubectl shows on the terminal; the whole story is in the budget's status. */

const grouped = (value: number): string => value.toLocaleString('en-US');

export const bindingWarnings = ({ name }: ConnectionBudget, plan: Plan): readonly string[] => {
  const binding = plan.bindingLimit;
  if (binding === undefined) return [];
  const { limit, flow, capacity, needed, unit } = binding;
  const where = flow === '' ? '' : ` of ${flow}`;
  const { reachable, declared } = plan.connections;
  const outcome = reachable < declared ? `; ${grouped(reachable)} of ${grouped(declared)} connections reachable` : '';
  return [
    `ConnectionBudget ${name}: ${limit}${where} binds: ${grouped(needed)} ${unit} needed, ${grouped(capacity ?? 0)} there${outcome}`,
  ];
};

/** Why an attachment gives nothing. */
export const attachmentWarnings = (
  { name }: ConnectionBudget,
  attachment: AttachmentOffer | undefined,
): readonly string[] =>
  attachment?.refusal === undefined
    ? []
    : [`ConnectionBudget ${name}: ${attachment.refusal.message}; pods start without extra addresses`];

/** Of a newer definition; what the API server itself does not know never comes here. */
export const unknownFieldWarnings = ({ name }: ConnectionBudget, fields: readonly string[]): readonly string[] =>
  fields.map((field) => `ConnectionBudget ${name}: ${field} is not known to this version of the operator`);

export const podWarnings = (budget: ConnectionBudget, podPlan: PodPlan): readonly string[] => [
  ...podPlan.missingContainers.map(
    (container) => `ConnectionBudget ${budget.name}: this pod has no container ${container}`,
  ),
  ...podPlan.shortfalls.map(
    ({ sysctl, own }) =>
      `ConnectionBudget ${budget.name}: ${sysctl.name} is "${own}" by hand and kept; planned is "${sysctl.value}"`,
  ),
  ...podPlan.unsafeSysctls.map(
    (name) =>
      `ConnectionBudget ${budget.name}: ${name} is set by hand, for which kubelets refuse the pod unless they allow it; left out, the agent sets it`,
  ),
  ...bindingWarnings(budget, podPlan.plan),
];

export const namespaceWarnings = ({ namespace }: ConnectionBudget, labels: Labels | undefined): readonly string[] =>
  labels === undefined || labels[enabledLabel] === 'true'
    ? []
    : [
        `pods of namespace ${namespace} are not patched until: kubectl label namespace ${namespace} ${enabledLabel}=true`,
      ];
