import { z } from 'zod';

/** Conditions of a budget; True when what design and `kubectl explain connectionbudget.status.conditions` say. */
export const conditionTypes = ['Feasible', 'Applied', 'Verified', 'Conflict', 'Ready'] as const;
export type ConditionType = (typeof conditionTypes)[number];
export type ConditionStatus = 'True' | 'False' | 'Unknown';

export type ConditionReason =
  // Feasible
  | 'PlanFits'
  | 'AssumptionsUnverified'
  | 'LimitBinds'
  | 'InvalidSpec'
  | 'DestinationNotFound'
  | 'ContainerNotFound'
  | 'AttachmentNotFound'
  | 'AttachmentNotUsable'
  // Applied, Verified
  | 'AllPodsCurrent'
  | 'PodsOutdated'
  | 'PodsRefused'
  | 'NamespaceNotEnabled'
  | 'ModeOff'
  | 'NoPods'
  | 'AllPodsVerified'
  | 'AppliedLate'
  | 'PodsUnverified'
  | 'LimitNotSettable'
  | 'AddressesMissing'
  | 'SpreadNotAvailable'
  | 'SignatureInvalid'
  | 'AgentAbsent'
  | 'NothingToVerify'
  // Conflict
  | 'NoConflict'
  | 'OlderBudgetWins'
  | 'ShadowsNewerBudget'
  // Ready
  | 'Ready'
  | 'NotFeasible'
  | 'NotApplied'
  | 'NotVerified'
  | 'Pending';

export const condition = z.object({
  type: z.enum(conditionTypes).meta({ description: 'Feasible, Applied, Verified, Conflict or Ready.' }),
  status: z.enum(['True', 'False', 'Unknown']).meta({ description: 'Whether the condition holds.' }),
  reason: z.string().min(1).max(64).meta({ description: 'One CamelCase word for programs.' }),
  message: z.string().max(1024).meta({ description: 'A sentence for people, with the numbers.' }),
  observedGeneration: z.int().min(0).optional().meta({ description: 'Generation of the spec that this is about.' }),
  lastTransitionTime: z.string().meta({ description: 'When status last changed, RFC 3339.', format: 'date-time' }),
});
export type Condition = z.output<typeof condition>;
