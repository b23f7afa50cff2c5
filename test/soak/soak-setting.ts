import type { KubeClient } from '../../src/kube/client.ts';
import type { Cluster } from '../cluster/lab/cluster.ts';
import type { FaultProxy } from '../kube/fault-proxy.ts';
import type { Journal } from './journal.ts';
import type { Standstill } from './standstill.ts';

/** What every part of the soak works with. */
export interface Soak {
  readonly seed: number;
  readonly cluster: Cluster;
  /** Straight to the server. */
  readonly client: KubeClient;
  /** Between the soak's own caches and the server. */
  readonly proxy: FaultProxy;
  readonly journal: Journal;
  readonly standstill: Standstill;
  readonly nowMs: () => number;
  /** Fires when everything has to end. */
  readonly signal: AbortSignal;
}

export const systemNamespace = 'connectionbudget-system';

/** Of what the soak makes: planned has a budget for all its pods, sometimes is labelled now and then, plain never is. */
export const namespaceNames = { planned: 'planned', sometimes: 'sometimes', plain: 'plain' } as const;
export const soakNamespaces: readonly string[] = Object.values(namespaceNames);

export const isOfSoak = (namespace: string): boolean => soakNamespaces.includes(namespace);
