import { z } from 'zod';
import type { Attachment } from '../addresses/multus.ts';
import { attachedAddresses, networkStatusAnnotation } from '../addresses/network-annotation.ts';
import { parseServedBudget } from '../api/budget-object.ts';
import { readBudgetStatus } from '../api/budget-status.ts';
import { type ConnectionNodeStatus, readNodeStatus } from '../api/connection-node.ts';
import type { ObservedPod } from '../api/demand.ts';
import { enabledLabel, planAnnotation } from '../api/names.ts';
import { givenAddressesOf, observedPodFor, ownSysctlsOf, patchedNetworksOf } from '../api/observed-pod.ts';
import { parseEndpointSlice, parseService, serviceNameLabel, type ServiceObject } from '../api/observed-service.ts';
import { appliedOf, decodeAnnotation, sectionHash } from '../api/pod-annotation.ts';
import type { EndpointSlice, KubeObject, Pod, Service } from '../kube/resources.ts';
import type { CustomObject } from './resources.ts';
import { createSharing } from './sharing.ts';
import type { CarriedPlan, ClusterPod, NamespaceLabels, ServiceSlice, StoredBudget } from './cluster.ts';

/** From an object as the API server sends it to what is kept of it. Each object is dropped afterwards. */

export const projectBudget = (object: CustomObject): StoredBudget => {
  const { namespace = '', name = '', uid = '', generation = 0, resourceVersion = '' } = object.metadata ?? {};
  return {
    namespace,
    name,
    uid,
    generation,
    resourceVersion,
    parsed: parseServedBudget(object),
    status: readBudgetStatus(object.status),
  };
};

const sharedObserved = createSharing<ObservedPod>((observed) =>
  JSON.stringify([observed, [...observed.memoryLimitBytes]]),
);
const sharedSysctls = createSharing<ReadonlyMap<string, string>>((sysctls) => JSON.stringify([...sysctls]));
const sharedPlan = createSharing<CarriedPlan>((carried) => JSON.stringify(carried));

const carriedPlan = (pod: Pod): CarriedPlan | undefined => {
  const annotation = pod.metadata?.annotations?.[planAnnotation];
  if (annotation === undefined) return undefined;
  const decoded = decodeAnnotation(annotation);
  if (!('section' in decoded)) return undefined;
  return sharedPlan({ hash: sectionHash(decoded.section), section: appliedOf(decoded.section) });
};

/** A container that was started anew tells of its last start too. RFC 3339 in UTC orders as text. */
const startedAt = ({ metadata, status }: Pod): string => {
  const starts = (status?.containerStatuses ?? []).flatMap(({ state, lastState }) => [
    state?.running?.startedAt,
    lastState?.terminated?.startedAt,
  ]);
  const [first] = starts.filter((start) => typeof start === 'string').toSorted();
  return first ?? metadata?.creationTimestamp ?? '';
};

const hasEnded = ({ metadata, status }: Pod): boolean =>
  metadata?.deletionTimestamp !== undefined || status?.phase === 'Succeeded' || status?.phase === 'Failed';

/** The kubelet's reason (pkg/kubelet/sysctl, ForbiddenReason). Its owner makes the next one, which is refused as well. */
const refusalOf = ({ metadata, status }: Pod): string | undefined =>
  metadata?.deletionTimestamp === undefined && status?.phase === 'Failed' && status.reason === 'SysctlForbidden'
    ? (status.message ?? status.reason)
    : undefined;

/** As the webhook leaves them: Windows has no such limits, a static pod's mirror must stay as its file is. */
const isLeftAlone = ({ metadata, spec }: Pod): boolean =>
  spec?.os?.name === 'windows' || metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined;

/** undefined for a pod that has ended or is ending: nothing is planned for it any more. */
export const projectPod = (pod: Pod): ClusterPod | undefined => {
  const refusal = refusalOf(pod);
  if (hasEnded(pod) && refusal === undefined) return undefined;
  const { namespace = '', name = '', uid = '', creationTimestamp = '', labels = {} } = pod.metadata ?? {};
  return {
    namespace,
    name,
    uid,
    createdAt: creationTimestamp,
    startedAt: startedAt(pod),
    labels,
    nodeName: pod.spec?.nodeName,
    isRunning: pod.status?.phase === 'Running',
    isReady: (pod.status?.conditions ?? []).some(({ type, status }) => type === 'Ready' && status === 'True'),
    refusal,
    isLeftAlone: isLeftAlone(pod),
    observed: sharedObserved(observedPodFor(pod, {})),
    ownSysctls: sharedSysctls(ownSysctlsOf(pod)),
    givenAddresses: givenAddressesOf(pod),
    attachedAddresses: attachedAddresses(pod.metadata?.annotations?.[networkStatusAnnotation], patchedNetworksOf(pod)),
    carried: carriedPlan(pod),
  };
};

export const projectService = (service: Service): ServiceObject | undefined => parseService(service);

export const projectSlice = (slice: EndpointSlice): ServiceSlice | undefined => {
  const { namespace = '', labels = {} } = slice.metadata ?? {};
  const parsed = parseEndpointSlice(slice);
  const service = labels[serviceNameLabel];
  if (parsed === undefined || service === undefined) return undefined;
  return { ...parsed, serviceKey: `${namespace}/${service}` };
};

/** Whether the webhook sees the namespace, and its Pod Security level. */
export const projectNamespace = (namespace: KubeObject): NamespaceLabels =>
  Object.fromEntries(
    Object.entries(namespace.metadata?.labels ?? {}).filter(
      ([key]) => key === enabledLabel || key.startsWith('pod-security.kubernetes.io/enforce'),
    ),
  );

const attachmentSpec = z.object({ config: z.string().default('') });

/** One without a configuration has it in a file of the nodes, where nobody here can read it. */
export const projectAttachment = ({ metadata, spec }: CustomObject): Attachment => ({
  namespace: metadata?.namespace ?? '',
  name: metadata?.name ?? '',
  config: attachmentSpec.safeParse(spec).data?.config ?? '',
});

/** A ConnectionNode without a readable status has no agent, as if it were not there. */
export const projectConnectionNode = (object: CustomObject): ConnectionNodeStatus | undefined =>
  readNodeStatus(object.status);
