import type { Metrics } from '../observability/metrics.ts';

export const webhookPaths = ['mutate-pods', 'validate-budgets'] as const;
export type WebhookPath = (typeof webhookPaths)[number];

/** Failed: a fault of ours; Malformed and TooLarge: no review could be read. */
const results = ['Allowed', 'Patched', 'Refused', 'Failed', 'Malformed', 'TooLarge'] as const;
export type WebhookResult = (typeof results)[number];

const steps = ['SigningKeys', 'Certificate', 'CaBundle'] as const;
export type UpkeepStep = (typeof steps)[number];

export interface WebhookMetrics {
  readonly answered: (path: WebhookPath, result: WebhookResult, seconds: number) => void;
  readonly upkeepFailed: (step: UpkeepStep) => void;
  readonly caBundleRepaired: () => void;
  readonly certificateExpires: (atMs: number) => void;
}

export const createWebhookMetrics = (metrics: Metrics): WebhookMetrics => {
  const requests = metrics.counter({
    name: 'connectionbudget_webhook_requests_total',
    help: 'Admission requests by path and what became of them.',
    labels: { path: webhookPaths, result: results },
  });
  const latency = metrics.histogram({
    name: 'connectionbudget_webhook_request_seconds',
    help: 'Time from a read request to its answer, in seconds.',
    labels: { path: webhookPaths },
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2],
  });
  const failures = metrics.counter({
    name: 'connectionbudget_webhook_upkeep_failures_total',
    help: 'Failed refreshes of signing keys, certificate and caBundle.',
    labels: { step: steps },
  });
  const repairs = metrics.counter({
    name: 'connectionbudget_webhook_ca_bundle_repairs_total',
    help: 'How often a caBundle was missing or wrong and was set.',
    labels: {},
  });
  const expiry = metrics.gauge({
    name: 'connectionbudget_webhook_certificate_expiry_timestamp_seconds',
    help: 'When the certificate that is served expires, in seconds since 1970.',
    labels: {},
  });
  return {
    answered: (path, result, seconds) => {
      requests({ path, result });
      latency({ path }, seconds);
    },
    upkeepFailed: (step) => failures({ step }),
    caBundleRepaired: () => repairs({}),
    certificateExpires: (atMs) => expiry({}, atMs / 1000),
  };
};
