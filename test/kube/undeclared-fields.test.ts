import { expect, test } from 'vitest';
import { undeclaredFields, withoutFields } from '../../src/kube/undeclared-fields.ts';

test('the fields that an API server does not know are read from its refusal', () => {
  const message = [
    'failed to create typed patch object (/n; connectionbudget.io/v1alpha1, Kind=ConnectionNode): errors:',
    '  .status.agent.newer: field not declared in schema',
    '  .status.pods[uid="a"].flows: field not declared in schema',
    '  .status.pods[uid="b"].flows: field not declared in schema',
  ].join('\n');
  expect(undeclaredFields(message)).toEqual(['status.agent.newer', 'status.pods.flows']);
  expect(undeclaredFields('Kind=ConnectionNode): .status.newer: field not declared in schema')).toEqual([
    'status.newer',
  ]);
  expect(undeclaredFields('the server is on fire')).toEqual([]);
});

test('these alone are left out, of every entry of a list', () => {
  const status = { agent: { newer: 1, connected: true }, pods: [{ uid: 'a', flows: [] }, { uid: 'b' }], flows: 'stay' };
  expect(withoutFields({ status }, ['status.agent.newer', 'status.pods.flows', 'status.none.at.all'])).toEqual({
    status: { agent: { connected: true }, pods: [{ uid: 'a' }, { uid: 'b' }], flows: 'stay' },
  });
});
