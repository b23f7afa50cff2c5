import type { PortRange } from '../planner/demand.ts';
import type { ObservedPod } from './demand.ts';
import { group } from './names.ts';
import { parseBytes } from './quantity.ts';

/** What the planner needs to know of a pod, read from its manifest. */

/** Names the sysctls in the pod's security context that are ours, so that nobody takes them for the user's. */
export const patchedSysctlsAnnotation = `${group}/patched-sysctls`;

/** Names our interfaces in the Multus annotation, for the same reason. */
export const patchedNetworksAnnotation = `${group}/patched-networks`;

/** The addresses that the user gives this pod for an attachment with IPAM static: "192.0.2.5/24,192.0.2.6/24". */
const sourceIpsAnnotation = `${group}/source-ips`;

const portRangeSysctl = 'net.ipv4.ip_local_port_range';

interface PortAction {
  readonly port?: number | string | undefined;
}

interface Handler {
  readonly httpGet?: PortAction | undefined;
  readonly tcpSocket?: PortAction | undefined;
  readonly grpc?: PortAction | undefined;
}

interface ContainerManifest {
  readonly name: string;
  readonly restartPolicy?: string | undefined;
  readonly ports?: readonly { readonly name?: string | undefined; readonly containerPort: number }[] | undefined;
  readonly livenessProbe?: Handler | undefined;
  readonly readinessProbe?: Handler | undefined;
  readonly startupProbe?: Handler | undefined;
  readonly lifecycle?: { readonly postStart?: Handler | undefined; readonly preStop?: Handler | undefined } | undefined;
  readonly resources?: { readonly limits?: Readonly<Record<string, string>> | undefined } | undefined;
}

export interface SysctlManifest {
  readonly name: string;
  readonly value: string;
}

/** The part of a v1 Pod that is read; every field may be missing. */
export interface PodManifest {
  readonly metadata?:
    | {
        readonly labels?: Readonly<Record<string, string>> | undefined;
        readonly annotations?: Readonly<Record<string, string>> | undefined;
      }
    | undefined;
  readonly spec?:
    | {
        readonly os?: { readonly name: string } | undefined;
        readonly hostNetwork?: boolean | undefined;
        readonly securityContext?: { readonly sysctls?: readonly SysctlManifest[] | undefined } | undefined;
        readonly containers?: readonly ContainerManifest[] | undefined;
        readonly initContainers?: readonly ContainerManifest[] | undefined;
      }
    | undefined;
}

/** Containers that run while the pod serves: the ordinary ones, then sidecars (init containers that always restart). */
const runningContainers = ({ spec = {} }: PodManifest): readonly ContainerManifest[] => [
  ...(spec.containers ?? []),
  ...(spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always'),
];

const handlersOf = (container: ContainerManifest): readonly (Handler | undefined)[] => [
  container.livenessProbe,
  container.readinessProbe,
  container.startupProbe,
  container.lifecycle?.postStart,
  container.lifecycle?.preStop,
];

/** A handler names a port by number, or by the name that the same container gives it. */
const portsOf = (container: ContainerManifest): readonly number[] => {
  const declared = container.ports ?? [];
  const byName = (port: string): number | undefined => declared.find(({ name }) => name === port)?.containerPort;
  const handled = handlersOf(container)
    .flatMap((handler) => [handler?.httpGet?.port, handler?.tcpSocket?.port, handler?.grpc?.port])
    .map((port) => (typeof port === 'string' ? (byName(port) ?? Number(port)) : (port ?? 0)));
  return [...declared.map(({ containerPort }) => containerPort), ...handled].filter((port) => port > 0);
};

const patchedSysctls = ({ metadata }: PodManifest): readonly string[] =>
  (metadata?.annotations?.[patchedSysctlsAnnotation] ?? '').split(',');

/** The sysctls that the user set in the pod's security context; ours are not among them. */
export const ownSysctlsOf = (pod: PodManifest): ReadonlyMap<string, string> => {
  const ours = new Set(patchedSysctls(pod));
  const sysctls = pod.spec?.securityContext?.sysctls ?? [];
  return new Map(sysctls.filter(({ name }) => !ours.has(name)).map(({ name, value }) => [name, value]));
};

/**
 * Of those that plans know, what kubelets refuse a pod for unless they are told to allow it: unsafe ones
 * (https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster).
 */
const unsafeSysctls: ReadonlySet<string> = new Set([
  'net.core.somaxconn',
  'net.ipv4.tcp_max_syn_backlog',
  'net.ipv4.tcp_max_tw_buckets',
  'net.ipv4.tcp_tw_reuse',
]);

export const unsafeSysctlsOf = (pod: PodManifest): readonly string[] =>
  [...ownSysctlsOf(pod).keys()].filter((name) => unsafeSysctls.has(name));

/** "10240 65535", with any white space between; undefined where it is no range. */
const parsePortRange = (value: string | undefined): PortRange | undefined => {
  const [, low, high] = /^\s*(\d{1,5})\s+(\d{1,5})\s*$/.exec(value ?? '') ?? [];
  const range = { low: Number(low), high: Number(high) };
  return range.low >= 1 && range.low <= range.high && range.high <= 65535 ? range : undefined;
};

const memoryLimitsOf = (containers: readonly ContainerManifest[]): ReadonlyMap<string, number> =>
  new Map(
    containers.flatMap(({ name, resources }) => {
      const limit = resources?.limits?.['memory'];
      return limit === undefined ? [] : [[name, parseBytes(limit)] as const];
    }),
  );

/**
 * Whether the namespace's Pod Security level admits ip_local_reserved_ports: it came with 1.27 to the sysctls that
 * baseline and restricted allow (https://kubernetes.io/docs/concepts/security/pod-security-standards).
 */
export const admitsReservedPorts = (namespaceLabels: Readonly<Record<string, string | undefined>>): boolean => {
  const prefix = 'pod-security.kubernetes.io/enforce';
  const level = namespaceLabels[prefix];
  if (level !== 'baseline' && level !== 'restricted') return true;
  const [, minor] = /^v1\.(\d+)$/.exec(namespaceLabels[`${prefix}-version`] ?? '') ?? [];
  return minor === undefined || Number(minor) >= 27;
};

const annotationList = ({ metadata }: PodManifest, name: string): readonly string[] =>
  (metadata?.annotations?.[name] ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');

export const givenAddressesOf = (pod: PodManifest): readonly string[] => annotationList(pod, sourceIpsAnnotation);

export const patchedNetworksOf = (pod: PodManifest): readonly string[] =>
  annotationList(pod, patchedNetworksAnnotation);

/** The facts of a pod, the same before and after our patch. */
export const observedPodFor = (pod: PodManifest, namespaceLabels: Readonly<Record<string, string>>): ObservedPod => {
  const containers = runningContainers(pod);
  const ports = new Set(containers.flatMap(portsOf));
  return {
    hostNetwork: pod.spec?.hostNetwork === true,
    declaredPorts: [...ports].toSorted((a, b) => a - b),
    portRange: parsePortRange(ownSysctlsOf(pod).get(portRangeSysctl)),
    kubeletReservesPorts: admitsReservedPorts(namespaceLabels),
    containerNames: containers.map(({ name }) => name),
    memoryLimitBytes: memoryLimitsOf(containers),
  };
};
