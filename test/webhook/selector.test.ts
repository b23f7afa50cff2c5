import { expect, test } from 'vitest';
import { budgetsSelecting, selects, winningBudget } from '../../src/api/selector.ts';
import { outboundBudget, parsedBudget } from './budgets.ts';

const labels = { app: 'gateway', tier: 'front' };

test.each([
  [{ matchLabels: { app: 'gateway' } }, true],
  [{ matchLabels: { app: 'gateway', tier: 'back' } }, false],
  [{ matchExpressions: [{ key: 'app', operator: 'In' as const, values: ['a', 'gateway'] }] }, true],
  [{ matchExpressions: [{ key: 'app', operator: 'In' as const, values: ['a'] }] }, false],
  [{ matchExpressions: [{ key: 'app', operator: 'NotIn' as const, values: ['gateway'] }] }, false],
  [{ matchExpressions: [{ key: 'zone', operator: 'NotIn' as const, values: ['a'] }] }, true],
  [{ matchExpressions: [{ key: 'tier', operator: 'Exists' as const }] }, true],
  [{ matchExpressions: [{ key: 'zone', operator: 'Exists' as const }] }, false],
  [{ matchExpressions: [{ key: 'zone', operator: 'DoesNotExist' as const }] }, true],
  [{ matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' as const }] }, false],
  [{ matchLabels: { app: 'gateway' }, matchExpressions: [{ key: 'zone', operator: 'Exists' as const }] }, false],
])('the selector %j selects a pod with app gateway and tier front: %s', (selector, outcome) => {
  expect(selects(selector, labels)).toBe(outcome);
});

const budget = (name: string, creationTimestamp: string) => ({
  ...parsedBudget(outboundBudget({ name })),
  creationTimestamp,
});

test('of two budgets the older wins, of two as old the first by name', () => {
  const budgets = [
    budget('a-younger', '2026-11-23T12:00:01Z'),
    budget('c-older', '2026-11-23T12:00:00Z'),
    budget('b-older', '2026-11-23T12:00:00Z'),
  ];

  expect(budgetsSelecting(budgets, labels).map(({ name }) => name)).toEqual(['b-older', 'c-older', 'a-younger']);
  expect(winningBudget(budgets, labels)?.name).toBe('b-older');
});

test('a pod that no budget selects has none', () => {
  expect(winningBudget([budget('a', '2026-11-23T12:00:00Z')], { app: 'other' })).toBeUndefined();
});

test.each(['constructor', 'toString', '__proto__'])('a label %s that a pod does not have is not there', (key) => {
  const asks = (operator: 'Exists' | 'DoesNotExist') => selects({ matchExpressions: [{ key, operator }] }, labels);
  expect({ exists: asks('Exists'), isMissing: asks('DoesNotExist') }).toEqual({ exists: false, isMissing: true });
});
