import { createHash } from 'node:crypto';
import type { ConnectionBudgetStatus } from '../api/budget-status.ts';
import type { Condition, ConditionReason, ConditionType } from '../api/conditions.ts';
import type { PodReport } from '../api/connection-node.ts';

/** One thing to tell about an object; `id` is the same when it is told again. */
export interface Transition {
  readonly id: string;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly action: string;
  readonly note: string;
}

/** Ready follows from the others, so it has nothing of its own to tell. */
const actions: Readonly<Record<Exclude<ConditionType, 'Ready'>, string>> = {
  Feasible: 'Plan',
  Applied: 'Apply',
  Verified: 'Verify',
  Conflict: 'Select',
};

/** How a condition is born without anything having happened. */
const calm: ReadonlySet<string> = new Set<ConditionReason>(['NoPods', 'ModeOff', 'NoConflict', 'NothingToVerify']);

const isBad = ({ type, status, reason }: Condition): boolean => {
  if (reason === 'AppliedLate') return true;
  return type === 'Conflict' ? status === 'True' : status === 'False' && reason !== 'ModeOff';
};

/** That another budget has the pods is told once, by Conflict; that a pod has just started is nothing to tell. */
const isToldElsewhere = ({ type, reason }: Condition): boolean =>
  (type === 'Applied' && reason === 'OlderBudgetWins') || reason === 'Pending';

const idOf = (parts: readonly string[]): string =>
  createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16);

/** One for each condition whose status or reason is another than before; a message alone tells nothing. */
export const transitionsFor = (
  previous: ConnectionBudgetStatus | undefined,
  conditions: readonly Condition[],
  now: Date,
): readonly Transition[] =>
  conditions.flatMap((condition) => {
    const { type, status, reason, message } = condition;
    if (type === 'Ready' || isToldElsewhere(condition)) return [];
    const before = previous?.conditions.find((other) => other.type === type);
    if (before === undefined ? calm.has(reason) : before.status === status && before.reason === reason) return [];
    const id = idOf([type, status, reason, now.toISOString()]);
    return [{ id, type: isBad(condition) ? 'Warning' : 'Normal', reason, action: actions[type], note: message }];
  });

/** A plan that somebody forged or a key that the agent does not know is told at the pod itself, once. */
export const podWarningFor = ({ uid, reason, message, sectionHash }: PodReport): Transition | undefined =>
  reason === 'SignatureInvalid'
    ? { id: idOf([uid, reason, sectionHash]), type: 'Warning', reason, action: 'Apply', note: message }
    : undefined;
