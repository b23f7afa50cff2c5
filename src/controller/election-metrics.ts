import { isKubeError, kubeErrorKinds } from '../kube/kube-error.ts';
import type { ElectionReport } from '../kube/lease.ts';
import type { Metrics } from '../observability/metrics.ts';

/** Counts what the election for the leader's Lease says. */
export const electionMetrics = (metrics: Metrics): ((report: ElectionReport) => void) => {
  const changes = metrics.counter({
    name: 'connectionbudget_leader_changes_total',
    help: 'Terms of this replica as the leader: taken, given back in order, lost, and those whose work failed.',
    labels: { change: ['Leading', 'Released', 'Lost', 'LeadFailed'] },
  });
  const failures = metrics.counter({
    name: 'connectionbudget_lease_failures_total',
    help: 'Calls for the Lease that failed: to take it, to renew it, to give it back.',
    labels: { kind: [...kubeErrorKinds, 'Internal'] },
  });
  return (report) => {
    if (report.type === 'CallFailed') failures({ kind: isKubeError(report.error) ? report.error.kind : 'Internal' });
    else if (report.type !== 'Following') changes({ change: report.type });
  };
};
