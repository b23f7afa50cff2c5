import { test } from 'vitest';
import { expectCondition, fitting, off, type Row, toOneAddress, toService } from './condition-rows.ts';
import { budgetOf, situationOf, withPods } from './situations.ts';

const rival = { name: 'other', pods: 2 };

const rows: readonly Row[] = [
  { fact: 'a budget alone has no conflict', situation: fitting, type: 'Conflict', is: 'False NoConflict', says: [] },
  {
    fact: 'an older budget of the same pods wins',
    situation: { ...fitting, rivals: [{ ...rival, wins: true }] },
    type: 'Conflict',
    is: 'True OlderBudgetWins',
    says: ['other (2 pods)'],
  },
  {
    fact: 'the older budget says whom it shadows',
    situation: { ...fitting, rivals: [{ ...rival, wins: false }] },
    type: 'Conflict',
    is: 'True ShadowsNewerBudget',
    says: ['other (2 pods)'],
  },
  {
    fact: 'feasible, applied and verified is ready',
    situation: fitting,
    type: 'Ready',
    is: 'True Ready',
    says: ['20,000'],
  },
  {
    fact: 'without pods readiness follows feasibility',
    situation: situationOf(),
    type: 'Ready',
    is: 'True Ready',
    says: [],
  },
  {
    fact: 'without pods an infeasible budget is not ready',
    situation: situationOf({ budget: budgetOf(toOneAddress(200_000)) }),
    type: 'Ready',
    is: 'False NotFeasible',
    says: ['220,000'],
  },
  {
    fact: 'a missing destination leaves readiness open',
    situation: situationOf({ budget: budgetOf(toService()) }),
    type: 'Ready',
    is: 'Unknown Pending',
    says: ['messaging/broker'],
  },
  {
    fact: 'an outdated pod is not ready',
    situation: withPods(situationOf(), { carried: undefined }),
    type: 'Ready',
    is: 'False NotApplied',
    says: ['0 of 1'],
  },
  {
    fact: 'an unverified pod is not ready',
    situation: withPods(situationOf(), { report: undefined }),
    type: 'Ready',
    is: 'False NotVerified',
    says: ['0 of 1'],
  },
  {
    fact: 'a pod that has just started leaves readiness open',
    situation: withPods(situationOf(), { startedAt: '2026-11-23T11:59:50Z', report: undefined }),
    type: 'Ready',
    is: 'Unknown Pending',
    says: ['0 of 1'],
  },
  {
    fact: 'a budget whose pods all have an older one is not ready, and names that',
    situation: situationOf({ rivals: [{ ...rival, wins: true }] }),
    type: 'Ready',
    is: 'False NotApplied',
    says: ['other'],
  },
  {
    fact: 'without an agent it is not ready, and says so',
    situation: withPods(situationOf(), { report: undefined, hasAgent: false }),
    type: 'Ready',
    is: 'False AgentAbsent',
    says: ['node-a'],
  },
  {
    fact: 'in mode Off readiness is feasibility',
    situation: withPods(off, { carried: undefined, report: undefined }),
    type: 'Ready',
    is: 'True Ready',
    says: [],
  },
];

test.each(rows)('$fact', expectCondition);
