import type { ConnectionBudgetStatus } from '../api/budget-status.ts';
import { enabledLabel } from '../api/names.ts';
import type { Cluster, StoredBudget } from './cluster.ts';
import { type Observations, rivalsOf, withReport } from './observations.ts';
import { matchingPods, nodeFactsFor, untouchablePods } from './observe.ts';
import { type Outcome, reconcile, reconcileInvalid } from './reconcile.ts';

export interface Surveyed {
  readonly cluster: Cluster;
  readonly observations: Observations;
}

/** Gathers what the decision about one budget rests on, and decides. */
export const decide = (
  { cluster, observations }: Surveyed,
  { parsed, generation }: StoredBudget,
  { previous, now }: { readonly previous: ConnectionBudgetStatus | undefined; readonly now: Date },
): Outcome => {
  const { budget, violations, unknownFields = [] } = parsed;
  if (budget === undefined) return reconcileInvalid({ generation, violations, previous, now });
  const pods = matchingPods(cluster, budget);
  const { observed, settlesInMs } = observations.settledFor(budget);
  const labels = cluster.namespaceLabels(budget.namespace);
  const outcome = reconcile({
    budget,
    unknownFields,
    observed,
    facts: nodeFactsFor(cluster, pods),
    pods: pods.map((pod) => withReport(cluster, pod)),
    untouchable: untouchablePods(cluster, budget),
    rivals: rivalsOf(cluster, budget),
    isNamespaceEnabled: labels === undefined || labels[enabledLabel] === 'true',
    previous,
    now,
  });
  const againAfterMs = Math.min(settlesInMs ?? Infinity, outcome.againAfterMs ?? Infinity);
  return { ...outcome, againAfterMs: againAfterMs === Infinity ? undefined : againAfterMs };
};
