import { networksAnnotation } from '../addresses/network-annotation.ts';
import { group } from '../api/names.ts';
import type { PodManifest } from '../api/observed-pod.ts';

/** All that a plan and its patch depend on in a pod, so that pods with an equal reading are answered equally. */

type Metadata = NonNullable<PodManifest['metadata']>;
type Spec = NonNullable<PodManifest['spec']>;
type Container = NonNullable<Spec['containers']>[number];

/** Whether there are annotations at all decides how one is added; of others' no more is read. */
const readAnnotations = (annotations: Metadata['annotations']): Metadata['annotations'] => {
  if (annotations === undefined) return undefined;
  const names = Object.keys(annotations).filter((name) => name.startsWith(`${group}/`) || name === networksAnnotation);
  return Object.fromEntries(names.map((name) => [name, annotations[name] ?? '']));
};

const readContainer = (container: Container): Container => {
  const { name, restartPolicy, ports, livenessProbe, readinessProbe, startupProbe, lifecycle, resources } = container;
  const limits = resources?.limits;
  return { name, restartPolicy, ports, livenessProbe, readinessProbe, startupProbe, lifecycle, resources: { limits } };
};

const readSpec = ({ hostNetwork, securityContext, containers, initContainers }: Spec): Spec => ({
  hostNetwork,
  securityContext: securityContext === undefined ? undefined : { sysctls: securityContext.sysctls },
  containers: containers?.map(readContainer),
  initContainers: initContainers?.map(readContainer),
});

export const readingOf = ({ metadata, spec }: PodManifest): PodManifest => ({
  metadata: { annotations: readAnnotations(metadata?.annotations) },
  spec: spec === undefined ? undefined : readSpec(spec),
});
