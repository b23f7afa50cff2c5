import type { AttachmentRequest } from '../addresses/multus.ts';
import { mergeNetworks, networksAnnotation } from '../addresses/network-annotation.ts';
import { planAnnotation } from '../api/names.ts';
import {
  patchedNetworksAnnotation,
  patchedNetworksOf,
  patchedSysctlsAnnotation,
  type PodManifest,
  type SysctlManifest,
} from '../api/observed-pod.ts';
import type { JsonPatchStep } from '../kube/calls.ts';

/** What a pod is to have of us. */
export interface PodChange {
  /** For spec.securityContext.sysctls; none of them is set by the user. */
  readonly sysctls: readonly SysctlManifest[];
  /** The value of connectionbudget.io/plan. */
  readonly annotation: string;
  /** Interfaces to ask Multus for. */
  readonly attachments: readonly AttachmentRequest[];
}

type Map = Readonly<Record<string, string>>;

/** A key as one token of a JSON pointer, RFC 6901. */
const token = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');

/** An annotation is set, or with undefined taken away. */
type Wanted = Readonly<Record<string, string | undefined>>;

const annotationSteps = (present: Map | undefined, wanted: Wanted): readonly JsonPatchStep[] => {
  const changed = Object.entries(wanted).filter(([key, value]) => present?.[key] !== value);
  if (present === undefined) return [{ op: 'add', path: '/metadata/annotations', value: Object.fromEntries(changed) }];
  return changed.map(([key, value]) =>
    value === undefined
      ? { op: 'remove', path: `/metadata/annotations/${token(key)}` }
      : { op: 'add', path: `/metadata/annotations/${token(key)}`, value },
  );
};

const presentNetworks = ({ metadata }: PodManifest): string | undefined => metadata?.annotations?.[networksAnnotation];

export const canAskMultus = (pod: PodManifest): boolean => mergeNetworks(presentNetworks(pod), [], []) !== undefined;

/** Where the user's own networks cannot be read, nobody's are changed: Multus refuses such a pod and says why. */
const networksWanted = (pod: PodManifest, attachments: readonly AttachmentRequest[]): Wanted => {
  const merged = mergeNetworks(presentNetworks(pod), patchedNetworksOf(pod), attachments);
  if (merged === undefined) return {};
  const { value, interfaces } = merged;
  return {
    [networksAnnotation]: value,
    [patchedNetworksAnnotation]: interfaces.length === 0 ? undefined : interfaces.join(','),
  };
};

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
export const podPatchFor = (
  pod: PodManifest,
  { sysctls, annotation, attachments }: PodChange,
): readonly JsonPatchStep[] => {
  const list = sysctls.map(({ name, value }) => ({ name, value }));
  return [
    ...sysctlSteps(pod, list),
    ...annotationSteps(pod.metadata?.annotations, {
      [planAnnotation]: annotation,
      [patchedSysctlsAnnotation]: list.length === 0 ? undefined : list.map(({ name }) => name).join(','),
      ...networksWanted(pod, attachments),
    }),
  ];
};
