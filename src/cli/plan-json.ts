import type { ConnectionBudget } from '../api/budget-object.ts';
import { assumptionText } from '../planner/assumptions.ts';
import type { Demand } from '../planner/demand.ts';
import type { Limit } from '../planner/limit.ts';
import type { Plan } from '../planner/plan.ts';
import { explainBinding } from '../planner/remedy.ts';

/** One budget with its demand and plan. */
export interface PlannedBudget {
  readonly budget: ConnectionBudget;
  readonly demand: Demand;
  readonly plan: Plan;
}

/** capacity is null where it is Unknown. */
const limitJson = ({ stage, limit, scope, flow, capacity, needed, unit, status }: Limit) => ({
  stage,
  limit,
  scope,
  flow,
  capacity: capacity ?? null,
  needed,
  unit,
  status,
});

const bindingJson = (demand: Demand, limit: Limit | undefined) => {
  if (limit === undefined) return null;
  const { status: _status, ...identity } = limitJson(limit);
  return { ...identity, ...explainBinding(demand, limit) };
};

/** The stable JSON of `plan -o json`. */
export const planJson = ({ budget, demand, plan }: PlannedBudget) => ({
  kind: 'Plan',
  budget: { namespace: budget.namespace, name: budget.name },
  feasible: plan.feasible,
  connections: plan.connections,
  bindingLimit: bindingJson(demand, plan.bindingLimit),
  pod: {
    containers: plan.containers,
    sysctls: plan.sysctls,
    sourceAddresses: plan.sourceAddresses,
    kernelMemoryBytes: plan.kernelMemoryBytes,
    chargedMemoryBytes: plan.chargedMemoryBytes,
  },
  node: { sysctls: plan.nodeMinimums },
  assumptions: plan.assumptions.map(assumptionText),
  limits: plan.limits.map(limitJson),
});
