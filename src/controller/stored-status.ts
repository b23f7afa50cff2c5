import { hash } from 'node:crypto';
import type { ConnectionBudgetStatus } from '../api/budget-status.ts';
import type { Condition } from '../api/conditions.ts';
import { createSharing } from './sharing.ts';

/** What a decision asks of the one before. */
export interface PreviousStatus extends Pick<ConnectionBudgetStatus, 'observedGeneration' | 'usage'> {
  readonly conditions: readonly Pick<Condition, 'type' | 'status' | 'reason' | 'lastTransitionTime'>[];
}

/** What is kept of a status, a tenth of it: its sentences are only written, never read. */
export interface StoredStatus extends PreviousStatus {
  /** Equal where the whole statuses are. */
  readonly digest: string;
}

const sharedText = createSharing<string>((text) => text);

export const storedStatusOf = (status: ConnectionBudgetStatus): StoredStatus => {
  const { observedGeneration, usage, conditions } = status;
  return {
    observedGeneration,
    usage,
    conditions: conditions.map(({ type, reason, lastTransitionTime, ...condition }) => ({
      type,
      status: condition.status,
      reason: sharedText(reason),
      lastTransitionTime: sharedText(lastTransitionTime),
    })),
    digest: hash('sha256', JSON.stringify(inOrder(status)), 'base64'),
  };
};

/** The same with the fields of every object in one order: the API server has an order of its own. */
const inOrder = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(fields.map(([name, field]) => [name, inOrder(field)]));
};
