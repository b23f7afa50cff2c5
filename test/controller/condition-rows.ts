import type { Situation } from '../../src/controller/situation.ts';
import { reconcile } from '../../src/controller/reconcile.ts';
import { nothingObserved } from '../../src/api/demand.ts';
import { expect } from 'vitest';
import { budgetOf, messageOf, shortOf, situationOf, withPods } from './situations.ts';

/** Rows of the tables about conditions, and the budgets that several of them need. */

/** One outbound flow to a Service; its own selector, nothing inbound. */
export const toService = (service: object = {}) => ({
  inbound: [],
  outbound: [
    { name: 'broker', connections: 5000, destination: { service: { name: 'broker', port: 1883, ...service } } },
  ],
});
export const brokerSeen = (readyEndpoints: ReadonlyMap<number, number>) => ({
  ...nothingObserved('messaging'),
  services: new Map([['messaging/broker', { headless: false, readyEndpoints }]]),
});
export const toOneAddress = (count: number) => ({
  inbound: [],
  outbound: [{ name: 'web', connections: count, destination: { addresses: { ips: ['198.51.100.7'], ports: [443] } } }],
});

export interface Row {
  readonly fact: string;
  readonly situation: Situation;
  readonly type: 'Feasible' | 'Applied' | 'Verified' | 'Conflict' | 'Ready';
  readonly is: string;
  /** Numbers and names that the message must have. */
  readonly says: readonly string[];
}

export const fitting = withPods(situationOf(), {});
export const off = situationOf({ budget: budgetOf({ updatePolicy: { mode: 'Off' } }) });

export function expectCondition({ situation, type, is, says }: Row): void {
  const { status } = reconcile(situation);
  expect(shortOf(status)).toContain(`${type} ${is}`);
  expect(says.filter((words) => !messageOf(status, type).includes(words))).toEqual([]);
}
