import { expect, test } from 'vitest';
import { truncateBytes } from '../../src/kube/event.ts';
import { collectionPath, keyOf, leases, nodes, objectPath, pods } from '../../src/kube/resources.ts';

test.each([
  [collectionPath(pods), '/api/v1/pods'],
  [collectionPath(pods, 'n'), '/api/v1/namespaces/n/pods'],
  [collectionPath(leases, 'n'), '/apis/coordination.k8s.io/v1/namespaces/n/leases'],
  [objectPath({ resource: nodes, name: 'a' }), '/api/v1/nodes/a'],
  [
    objectPath({ resource: pods, namespace: 'n', name: 'a', subresource: 'status' }),
    '/api/v1/namespaces/n/pods/a/status',
  ],
  [objectPath({ resource: pods, namespace: '../x', name: 'a/b?c' }), '/api/v1/namespaces/..%2Fx/pods/a%2Fb%3Fc'],
])('%s', (path, expected) => {
  expect(path).toBe(expected);
});

test('a key has a namespace where the object has one', () => {
  expect(keyOf({ namespace: 'n', name: 'a' })).toBe('n/a');
  expect(keyOf({ name: 'a' })).toBe('a');
});

test.each([
  ['short', 10, 'short'],
  ['exactly 10', 10, 'exactly 10'],
  ['more than 10', 10, 'more th…'],
  ['ääääää', 10, 'äää…'],
])('%s in %i bytes is %s', (text, maximum, expected) => {
  expect(truncateBytes(text, maximum)).toBe(expected);
  expect(Buffer.byteLength(expected)).toBeLessThanOrEqual(maximum);
});
