import type { LabelSelector } from '../api/flows.ts';
import { selects } from '../api/selector.ts';
import type { ClusterPod } from './cluster.ts';
import { requiredLabels } from './required-labels.ts';

/** Pods by the labels that selectors ask for, so that a selector does not look at the whole namespace. */
export interface PodIndex {
  readonly put: (key: string, pod: ClusterPod) => void;
  readonly remove: (key: string, pod: ClusterPod) => void;
  readonly selected: (namespace: string, selector: LabelSelector) => readonly ClusterPod[];
}

type Pods = Set<ClusterPod>;

interface NamespacePods {
  readonly all: Map<string, ClusterPod>;
  /** By label key and value; only of keys that a selector asked for: most labels never are. */
  readonly byLabel: Map<string, Map<string, Pods>>;
}

export const createPodIndex = (): PodIndex => {
  const namespaces = new Map<string, NamespacePods>();
  const remove = (key: string, pod: ClusterPod): void => {
    const known = namespaces.get(pod.namespace);
    const before = known?.all.get(key);
    if (known === undefined || before === undefined) return;
    known.all.delete(key);
    for (const [label, values] of known.byLabel) unfile(values, before.labels[label], before);
    if (known.all.size === 0) namespaces.delete(pod.namespace);
  };
  return {
    remove,
    put: (key, pod) => {
      remove(key, pod);
      const known = namespaces.get(pod.namespace) ?? { all: new Map(), byLabel: new Map() };
      namespaces.set(pod.namespace, known);
      known.all.set(key, pod);
      for (const [label, values] of known.byLabel) file(values, pod.labels[label], pod);
    },
    selected: (namespace, selector) => {
      const known = namespaces.get(namespace);
      return known === undefined
        ? []
        : candidatesFor(known, selector).filter(({ labels }) => selects(selector, labels));
    },
  };
};

const file = (values: Map<string, Pods>, value: string | undefined, pod: ClusterPod): void => {
  if (value === undefined) return;
  const pods = values.get(value);
  if (pods === undefined) values.set(value, new Set([pod]));
  else pods.add(pod);
};

const unfile = (values: Map<string, Pods>, value: string | undefined, pod: ClusterPod): void => {
  if (value === undefined) return;
  const pods = values.get(value);
  pods?.delete(pod);
  if (pods?.size === 0) values.delete(value);
};

/** The fewest pods that one required label leaves; all where the selector requires none. */
const candidatesFor = (known: NamespacePods, selector: LabelSelector): readonly ClusterPod[] => {
  let fewest: { readonly count: number; readonly found: readonly Pods[] } | undefined;
  for (const { key, values } of requiredLabels(selector)) {
    const filed = filedBy(known, key);
    const found = values.flatMap((value) => filed.get(value) ?? []);
    const count = found.reduce((sum, { size }) => sum + size, 0);
    if (fewest === undefined || count < fewest.count) fewest = { count, found };
  }
  return fewest === undefined ? [...known.all.values()] : fewest.found.flatMap((pods) => [...pods]);
};

const filedBy = ({ all, byLabel }: NamespacePods, label: string): Map<string, Pods> => {
  const known = byLabel.get(label);
  if (known !== undefined) return known;
  const values = new Map<string, Pods>();
  for (const pod of all.values()) file(values, pod.labels[label], pod);
  byLabel.set(label, values);
  return values;
};
