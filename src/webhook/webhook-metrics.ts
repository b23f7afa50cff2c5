import type { Metrics } from '../observability/metrics.ts';

export const webhookPaths = ['mutate-pods', 'validate-budgets'] as const;
export type WebhookPath = (typeof webhookPaths)[number];

/** Failed: a fault of ours; Malformed and TooLarge: no review could be read. */
const results = ['Allowed', 'Patched', 'Refused', 'Failed', 'Malformed', 'TooLarge'] as const;
export type WebhookResult = (typeof results)[number];

const steps = ['SigningKeys', 'Certificate', 'CaBundle'] as const;
export type UpkeepStep = (typeof steps)[number];

/** Top fields of a budget's spec. */
const refusedFields = [
  'selector',
  'scale',
  'containers',
  'inbound',
  'outbound',
  'queuedBytes',
  'headroomPercent',
  'sourceAddresses',
  'updatePolicy',
] as const;

/** Of the key that signs now. */
export interface SigningState {
  readonly createdAtMs: number;
  readonly published: number;
}

export interface WebhookMetrics {
  readonly answered: (path: WebhookPath, result: WebhookResult, seconds: number) => void;
  /** By the first field that broke a rule, such as `spec.inbound[0].port`. */
  readonly refused: (field: string) => void;
  readonly begun: () => void;
  /** The answer is out, or its connection is gone. */
  readonly ended: () => void;
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
  return {
    answered: (path, result, seconds) => {
      requests({ path, result });
      latency({ path }, seconds);
    },
    ...refusalMetrics(metrics),
    ...inFlightMetrics(metrics),
    ...upkeepMetrics(metrics),
  };
};

const refusalMetrics = (metrics: Metrics): Pick<WebhookMetrics, 'refused'> => {
  const refusals = metrics.counter({
    name: 'connectionbudget_webhook_refusals_total',
    help: 'Refused budgets by the field of the spec that broke a rule, the first where there are several.',
    labels: { field: refusedFields },
  });
  return { refused: (field) => refusals({ field: /^spec\.(\w+)/u.exec(field)?.[1] ?? '' }) };
};

const inFlightMetrics = (metrics: Metrics): Pick<WebhookMetrics, 'begun' | 'ended'> => {
  let inFlight = 0;
  const definition = {
    name: 'connectionbudget_webhook_in_flight_requests',
    help: 'Admission requests that are being read or answered.',
    labels: {},
  };
  metrics.observedGauge(definition, () => [{ labels: {}, value: inFlight }]);
  return {
    begun: () => void (inFlight += 1),
    ended: () => void (inFlight -= 1),
  };
};

type Upkeep = Pick<WebhookMetrics, 'upkeepFailed' | 'caBundleRepaired' | 'certificateExpires'>;

const upkeepMetrics = (metrics: Metrics): Upkeep => {
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
  let expiresAtMs: number | undefined;
  metrics.table({
    name: 'connectionbudget_webhook_certificate_expiry_timestamp_seconds',
    help: 'When the certificate that is served expires, in seconds since 1970; no series before it is served.',
    labels: [],
    rows: () => (expiresAtMs === undefined ? [] : [['', expiresAtMs / 1000]]),
  });
  return {
    upkeepFailed: (step) => failures({ step }),
    caBundleRepaired: () => repairs({}),
    certificateExpires: (atMs) => {
      expiresAtMs = atMs;
    },
  };
};

/** What signs plans, looked at when somebody asks; no series before the first key. */
export const observeKeys = (metrics: Metrics, signing: () => SigningState | undefined): void => {
  const one = (name: string, help: string, valueOf: (state: SigningState) => number): void =>
    metrics.table({
      name,
      help,
      labels: [],
      rows: () => {
        const state = signing();
        return state === undefined ? [] : [['', valueOf(state)]];
      },
    });
  one(
    'connectionbudget_webhook_signing_key_created_timestamp_seconds',
    'When the key that signs plans was made, in seconds since 1970.',
    ({ createdAtMs }) => createdAtMs / 1000,
  );
  one(
    'connectionbudget_webhook_published_keys',
    'Keys that agents are told to accept: the one that signs, its successor, and those of older pods.',
    ({ published }) => published,
  );
};
