import { expect, test } from 'vitest';
import { errorForStatus, KubeError } from '../../src/kube/kube-error.ts';
import { refusalCauseOf } from './refusals.ts';

const failedCalling =
  'Internal error occurred: failed calling webhook "budgets.connectionbudget.io": failed to call webhook: Post "https://connectionbudget-webhook.connectionbudget-system.svc:443/validate-budgets?timeout=2s": context deadline exceeded';

test.each([
  { status: 500, message: failedCalling, cause: 'OurWebhook' },
  {
    status: 422,
    message: 'admission webhook "budgets.connectionbudget.io" denied the request: spec.selector: must not be empty',
    cause: 'AsItShould',
  },
  { status: 500, message: 'etcdserver: request timed out', cause: 'ServerAway' },
  { status: 503, message: 'apiserver is shutting down', cause: 'ServerAway' },
  { status: 429, message: 'too many requests', cause: 'ServerAway' },
  { status: 409, message: 'the object has been modified', cause: 'Raced' },
  { status: 403, message: 'pods "a" is forbidden: exceeded quota', cause: 'Other' },
])('$status "$message" is $cause', ({ status, message, cause }) => {
  expect(refusalCauseOf(errorForStatus(status, { message }))).toBe(cause);
});

test('no answer at all is the server away', () => {
  expect(refusalCauseOf(new KubeError('no answer in time', { kind: 'Timeout' }))).toBe('ServerAway');
});
