import type { ConditionReason } from '../api/conditions.ts';
import type { Rival, Verdict } from './situation.ts';
import { counted, listed } from './wording.ts';

const rivalText = ({ name, pods }: Rival): string => `${name} (${counted(pods, 'pod')})`;

/** Two budgets for one pod: the older, then the name, wins. */
export const conflictVerdict = (rivals: readonly Rival[]): Verdict => {
  const winners = rivals.filter(({ wins }) => wins);
  const losers = rivals.filter(({ wins }) => !wins);
  if (winners.length > 0) {
    const message = `Older budgets have pods that this one selects too: ${listed(winners.map(rivalText))}. Make the selectors disjoint.`;
    return { status: 'True', reason: 'OlderBudgetWins', message };
  }
  if (losers.length > 0) {
    const message = `This budget has pods that newer ones select too: ${listed(losers.map(rivalText))}. Make the selectors disjoint.`;
    return { status: 'True', reason: 'ShadowsNewerBudget', message };
  }
  return { status: 'False', reason: 'NoConflict', message: 'No other budget selects one of these pods.' };
};

export interface Verdicts {
  readonly Feasible: Verdict;
  readonly Applied: Verdict;
  readonly Verified: Verdict;
  readonly Conflict: Verdict;
}

/** Conditions that Ready may not wait for: there is nothing that they could be about. */
const isBeside = ({ reason }: Verdict): boolean => reason === 'ModeOff' || reason === 'NoPods';

const failed: Readonly<Record<'Feasible' | 'Applied' | 'Verified', ConditionReason>> = {
  Feasible: 'NotFeasible',
  Applied: 'NotApplied',
  Verified: 'NotVerified',
};

/**
 * | Feasible | Applied, Verified          | Ready                                               |
 * |----------|----------------------------|-----------------------------------------------------|
 * | False    | any                        | False, NotFeasible                                  |
 * | any      | False, unless mode is Off  | False, NotApplied or NotVerified (or AgentAbsent)   |
 * | Unknown  | True or beside the matter  | Unknown, Pending                                    |
 * | True     | True or beside the matter  | True, Ready                                         |
 */
export const readyVerdict = (verdicts: Omit<Verdicts, 'Conflict'>): Verdict => {
  for (const type of ['Feasible', 'Applied', 'Verified'] as const) {
    const { status, reason, message } = verdicts[type];
    if (status !== 'False' || reason === 'ModeOff') continue;
    return { status: 'False', reason: reason === 'AgentAbsent' ? reason : failed[type], message };
  }
  const waiting = Object.values<Verdict>(verdicts).find(
    (verdict) => verdict.status === 'Unknown' && !isBeside(verdict),
  );
  if (waiting !== undefined) return { status: 'Unknown', reason: 'Pending', message: waiting.message };
  return { status: 'True', reason: 'Ready', message: verdicts.Feasible.message };
};
