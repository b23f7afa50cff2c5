import type { KubeObject, Resource } from '../../src/kube/resources.ts';

/** How an API server is told of a webhook of this machine. */

interface WebhookConfiguration extends KubeObject {
  readonly webhooks: readonly {
    readonly name: string;
    readonly clientConfig: { readonly url?: string; readonly caBundle?: string };
    readonly [field: string]: unknown;
  }[];
}
const registration = { group: 'admissionregistration.k8s.io', version: 'v1', namespaced: false } as const;
export const mutating: Resource<WebhookConfiguration> = {
  ...registration,
  kind: 'MutatingWebhookConfiguration',
  plural: 'mutatingwebhookconfigurations',
};
export const validating: Resource<WebhookConfiguration> = {
  ...registration,
  kind: 'ValidatingWebhookConfiguration',
  plural: 'validatingwebhookconfigurations',
};

/** As the chart has it, but by URL, for nothing here routes to a Service. */
const configuration = (url: string, name: string, rest: object): WebhookConfiguration => ({
  metadata: { name: 'connectionbudget' },
  webhooks: [
    {
      name,
      clientConfig: { url },
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
      timeoutSeconds: 2,
      ...rest,
    },
  ],
});

export const podsConfiguration = (port: number) =>
  configuration(`https://127.0.0.1:${port}/mutate-pods`, 'pods.connectionbudget.io', {
    failurePolicy: 'Ignore',
    reinvocationPolicy: 'IfNeeded',
    namespaceSelector: { matchLabels: { 'connectionbudget.io/enabled': 'true' } },
    rules: [{ apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['CREATE'], scope: 'Namespaced' }],
  });

export const budgetsConfiguration = (port: number) =>
  configuration(`https://127.0.0.1:${port}/validate-budgets`, 'budgets.connectionbudget.io', {
    failurePolicy: 'Fail',
    matchConditions: [{ name: 'spec-changes', expression: 'oldObject == null || object.spec != oldObject.spec' }],
    rules: [
      {
        apiGroups: ['connectionbudget.io'],
        apiVersions: ['v1alpha1'],
        resources: ['connectionbudgets'],
        operations: ['CREATE', 'UPDATE'],
      },
    ],
  });
