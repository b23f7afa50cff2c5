import type { Metrics } from '../observability/metrics.ts';
import { kubeErrorKinds } from './kube-error.ts';
import type { Answered } from './transport.ts';

/** Counts calls to the API server by what became of them; 429 is TooManyRequests. */
export const apiMetrics = (metrics: Metrics): ((answered: Answered) => void) => {
  const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'Stream'] as const;
  const requests = metrics.counter({
    name: 'connectionbudget_api_requests_total',
    help: 'Calls to the API server by method and outcome: Ok, or the kind of error. A list or watch is a Stream.',
    labels: { method: methods, outcome: ['Ok', ...kubeErrorKinds] },
  });
  const latency = metrics.histogram({
    name: 'connectionbudget_api_request_duration_seconds',
    help: 'Time from a call to its answer; of a Stream to its first byte.',
    labels: { method: methods },
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
  });
  return ({ method, outcome, seconds }) => {
    requests({ method, outcome });
    latency({ method }, seconds);
  };
};
