import { planAnnotation } from '../api/names.ts';
import { patchedSysctlsAnnotation, type PodManifest, type SysctlManifest } from '../api/observed-pod.ts';
import type { JsonPatchStep } from '../kube/calls.ts';

/** What a pod is to have of us. */
export interface PodChange {
  /** For spec.securityContext.sysctls; none of them is set by the user. */
  readonly sysctls: readonly SysctlManifest[];
  /** The value of connectionbudget.io/plan. */
  readonly annotation: string;
}

type Map = Readonly<Record<string, string>>;

/** A key as one token of a JSON pointer, RFC 6901. */
const token = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');

const annotationSteps = (present: Map | undefined, wanted: Map): readonly JsonPatchStep[] => {
  if (present === undefined) return [{ op: 'add', path: '/metadata/annotations', value: wanted }];
  return Object.entries(wanted)
    .filter(([key, value]) => present[key] !== value)
    .map(([key, value]) => ({ op: 'add', path: `/metadata/annotations/${token(key)}`, value }));
};

const unmark = (present: Map | undefined): readonly JsonPatchStep[] =>
  present?.[patchedSysctlsAnnotation] === undefined
    ? []
    : [{ op: 'remove', path: `/metadata/annotations/${token(patchedSysctlsAnnotation)}` }];

const sysctlSteps = (pod: PodManifest, sysctls: readonly SysctlManifest[]): readonly JsonPatchStep[] => {
  const context = pod.spec?.securityContext;
  const present = context?.sysctls ?? [];
  const ours = new Set((pod.metadata?.annotations?.[patchedSysctlsAnnotation] ?? '').split(','));
  const wanted = [...present.filter(({ name }) => !ours.has(name)), ...sysctls];
  if (JSON.stringify(wanted) === JSON.stringify(present)) return [];
  if (context === undefined) return [{ op: 'add', path: '/spec/securityContext', value: { sysctls: wanted } }];
  return [{ op: 'add', path: '/spec/securityContext/sysctls', value: wanted }];
};

/**
 * The steps from a pod as it is to one that carries the change; none where it does already. What an earlier review of ours
 * put there is replaced, what the user put there stays.
 */
export const podPatchFor = (pod: PodManifest, { sysctls, annotation }: PodChange): readonly JsonPatchStep[] => {
  const list = sysctls.map(({ name, value }) => ({ name, value }));
  const present = pod.metadata?.annotations;
  const marks = list.length === 0 ? {} : { [patchedSysctlsAnnotation]: list.map(({ name }) => name).join(',') };
  return [
    ...sysctlSteps(pod, list),
    ...annotationSteps(present, { [planAnnotation]: annotation, ...marks }),
    ...(list.length === 0 ? unmark(present) : []),
  ];
};
