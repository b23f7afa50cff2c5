import { enabledLabel } from '../api/names.ts';
import type { Cluster, StoredBudget } from './cluster.ts';
import { type Observations, withReport } from './observations.ts';
import { type Outcome, reconcile, reconcileInvalid } from './reconcile.ts';
import type { PreviousStatus } from './stored-status.ts';

export interface Surveyed {
  readonly cluster: Cluster;
  readonly observations: Observations;
}

/** Gathers what the decision about one budget rests on, and decides. */
export const decide = (
  { cluster, observations }: Surveyed,
  { parsed, generation }: StoredBudget,
  { previous, now }: { readonly previous: PreviousStatus | undefined; readonly now: Date },
): Outcome => {
  const { budget, violations, unknownFields = [] } = parsed;
  if (budget === undefined) return reconcileInvalid({ generation, violations, previous, now });
  const { settled, node, selection } = observations.look(budget);
  const { observed, settlesInMs } = settled;
  const { pods, untouchable, rivals } = selection;
  const labels = cluster.namespaceLabels(budget.namespace);
  const outcome = reconcile({
    budget,
    unknownFields,
    observed,
    facts: node,
    pods: pods.map((pod) => withReport(cluster, pod)),
    untouchable,
    rivals,
    isNamespaceEnabled: labels === undefined || labels[enabledLabel] === 'true',
    previous,
    now,
  });
  const againAfterMs = Math.min(settlesInMs ?? Infinity, outcome.againAfterMs ?? Infinity);
  return { ...outcome, againAfterMs: againAfterMs === Infinity ? undefined : againAfterMs };
};
