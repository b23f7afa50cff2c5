import { createHash } from 'node:crypto';
import type { Condition, ConditionType } from '../api/conditions.ts';
import type { PodReport } from '../api/connection-node.ts';
import type { PreviousStatus } from './stored-status.ts';

/** One thing to tell about an object; `id` is the same when it is told again. */
export interface Transition {
  readonly id: string;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly action: string;
  readonly note: string;
}

/** Ready follows from the others, so it has nothing of its own to tell. */
type ToldType = Exclude<ConditionType, 'Ready'>;
type Told = Condition & { readonly type: ToldType };

const actions: Readonly<Record<ToldType, string>> = {
  Feasible: 'Plan',
  Applied: 'Apply',
  Verified: 'Verify',
  Conflict: 'Select',
};

const isBad = ({ type, status, reason }: Condition): boolean => {
  if (reason === 'AppliedLate') return true;
  return type === 'Conflict' ? status === 'True' : status === 'False' && reason !== 'ModeOff';
};

/** That another budget has the pods is told once, by Conflict; that a pod has just started is nothing to tell. */
const isTold = (condition: Condition): condition is Told => {
  const { type, reason } = condition;
  return type !== 'Ready' && reason !== 'Pending' && !(type === 'Applied' && reason === 'OlderBudgetWins');
};

const idOf = (parts: readonly string[]): string =>
  createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16);

/**
 * One for each condition whose status or reason is another than before; a message alone tells nothing. A first status is
 * one transition: docs/decisions/0050-a-first-status-tells-one-thing.md.
 */
export const transitionsFor = (
  previous: PreviousStatus | undefined,
  conditions: readonly Condition[],
  now: Date,
): readonly Transition[] => {
  const own = conditions.filter(isTold);
  const news =
    previous === undefined ? own.filter(isBad).slice(0, 1) : own.filter((condition) => isNews(previous, condition));
  return news.map((condition) => transitionOf(condition, now));
};

const isNews = ({ conditions }: PreviousStatus, condition: Condition): boolean => {
  const before = conditions.find(({ type }) => type === condition.type);
  if (before === undefined) return isBad(condition);
  return before.status !== condition.status || before.reason !== condition.reason;
};

const transitionOf = (condition: Told, now: Date): Transition => {
  const { type, status, reason, message } = condition;
  const id = idOf([type, status, reason, now.toISOString()]);
  return { id, type: isBad(condition) ? 'Warning' : 'Normal', reason, action: actions[type], note: message };
};

/** A plan that somebody forged or a key that the agent does not know is told at the pod itself, once. */
export const podWarningFor = ({ uid, reason, message, sectionHash }: PodReport): Transition | undefined =>
  reason === 'SignatureInvalid'
    ? { id: idOf([uid, reason, sectionHash]), type: 'Warning', reason, action: 'Apply', note: message }
    : undefined;
