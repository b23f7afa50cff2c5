import { expect, test } from 'vitest';
import { answerFor } from '../../src/webhook/answer.ts';
import { context } from './answer-context.ts';
import { outboundBudget } from './budgets.ts';

const bodyOf = (object: string, rest = ''): Buffer =>
  Buffer.from(
    `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u1","operation":"${rest === '' ? 'CREATE' : 'UPDATE'}","namespace":"messaging","object":${object}${rest}}}`,
  );

const deep = '['.repeat(100_000) + ']'.repeat(100_000);
const podWith = (field: string): string =>
  `{"metadata":{"labels":{"app":"gateway"}},"spec":{${field},"containers":[{"name":"gateway"}]}}`;

const { metadata, spec } = outboundBudget() as { readonly metadata: object; readonly spec: object };
const budgetWith = (field: string): string => {
  const { apiVersion, kind } = { apiVersion: 'connectionbudget.io/v1alpha1', kind: 'ConnectionBudget' };
  const text = JSON.stringify({ apiVersion, kind, metadata, spec });
  return text.replace('"spec":{', `"spec":{${field},`);
};

test.each([
  ['nested 100,000 deep', `"x":${deep}`],
  ['of 7 MiB', `"x":"${'x'.repeat(7 * 1024 * 1024)}"`],
  ['of 7 MiB of managed fields', `"managedFields":[${'{"f:x":{}},'.repeat(600_000)}{}]`],
  ['with names of Object', '"__proto__":{"hostNetwork":true},"constructor":1'],
])('a pod %s gets its plan', (_, field) => {
  const { status, result } = answerFor('mutate-pods', bodyOf(podWith(field)), context);
  expect({ status, result }).toEqual({ status: 200, result: 'Patched' });
});

test.each([
  ['nested 100,000 deep', `"x":${deep}`, 'spec.x'],
  ['with names of Object', '"constructor":1', 'spec.constructor'],
  ['with __proto__', '"__proto__":{"a":1}', 'spec.__proto__'],
  ['with a command for terminals', '"\\u001b[2J\\u202e":1', 'spec.\\u{1b}[2J\\u{202e}'],
  ['with a long name', `"${'x'.repeat(1000)}":1`, `spec.${'x'.repeat(80)}…`],
])('a budget %s is told so by the name of the field', (_, field, name) => {
  const { status, body } = answerFor('validate-budgets', bodyOf(budgetWith(field)), context);
  expect(status).toBe(200);
  const { response } = JSON.parse(body) as { readonly response: { readonly warnings: readonly string[] } };
  expect(response.warnings[0]).toContain(`: ${name} is not known to this version`);
});

test('an update of a budget that is nested too deeply to be compared is judged', () => {
  const object = budgetWith(`"x":${deep}`);
  const { status, result } = answerFor('validate-budgets', bodyOf(object, `,"oldObject":${object}`), context);
  expect({ status, result }).toEqual({ status: 200, result: 'Allowed' });
});

test('a warning commands no terminal', () => {
  const sysctls =
    '"securityContext":{"sysctls":[{"name":"net.ipv4.ip_local_port_range","value":"\\u001b]0;owned\\u0007"}]}';
  const { body } = answerFor('mutate-pods', bodyOf(podWith(sysctls)), context);
  const { response } = JSON.parse(body) as { readonly response: { readonly warnings: readonly string[] } };
  expect(response.warnings).toContainEqual(expect.stringContaining('is "\\u{1b}]0;owned\\u{7}" by hand'));
});
