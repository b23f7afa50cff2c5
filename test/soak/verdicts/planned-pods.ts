import { isDeepStrictEqual } from 'node:util';
import { planAnnotation } from '../../../src/api/names.ts';
import type { PodReport } from '../../../src/api/connection-node.ts';
import { appliedOf, type AppliedSection, decodeAnnotation } from '../../../src/api/pod-annotation.ts';
import { projectConnectionNode } from '../../../src/controller/projections.ts';
import { connectionNodes } from '../../../src/controller/resources.ts';
import { type Pod, pods } from '../../../src/kube/resources.ts';
import { readNofile } from '../../../src/linux/rlimits.ts';
import { run } from '../../cluster/lab/command.ts';
import { containerd } from '../../cluster/running-container.ts';
import { isOfSoak, type Soak } from '../soak-setting.ts';

/** Every running pod with a plan has its limits, sysctls and addresses in the kernel, and its node says so. */

export interface PlannedPods {
  readonly faults: readonly string[];
  readonly byReason: ReadonlyMap<string, number>;
}

/** Nobody can put further addresses on a pod that started without (docs/source-addresses.md). */
const startedWithoutAgent = /no agent was there that knew its plan/;

export const lookAtPlannedPods = async (soak: Soak): Promise<PlannedPods> => {
  const { client, signal } = soak;
  const [listed, nodes, tasks] = await Promise.all([
    client.list(pods, {}, { signal }),
    client.list(connectionNodes, {}, { signal }),
    containerd(soak.cluster, ['tasks', 'ls'], signal),
  ]);
  const reports = new Map(
    nodes.items.flatMap((node) => (projectConnectionNode(node)?.pods ?? []).map((report) => [report.uid, report])),
  );
  const planned = listed.items.flatMap((pod) => plannedPod(pod, reports, tasks) ?? []);
  const known = new Set(planned.map(({ uid }) => uid));
  const faults = await Promise.all(planned.map((pod) => faultsOf(pod, signal)));
  const strangers = [...reports.values()].filter(({ uid }) => !known.has(uid));
  return {
    faults: [...faults.flat(), ...strangers.map(({ name }) => `${name} is reported and does not run with a plan`)],
    byReason: countBy(planned.map(({ report }) => report?.reason ?? 'not reported')),
  };
};

interface RunningPod {
  readonly key: string;
  readonly uid: string;
  readonly pid: number;
  readonly section: AppliedSection;
  readonly report: PodReport | undefined;
}

const plannedPod = (
  { metadata, status }: Pod,
  reports: ReadonlyMap<string, PodReport>,
  tasks: string,
): RunningPod | undefined => {
  const { namespace = '', name = '', uid = '', annotations = {} } = metadata ?? {};
  const decoded = decodeAnnotation(annotations[planAnnotation] ?? '');
  if (!isOfSoak(namespace) || metadata?.deletionTimestamp !== undefined || !('section' in decoded)) return undefined;
  const id = status?.containerStatuses?.[0]?.containerID?.replace('containerd://', '') ?? 'none';
  const pid = Number(new RegExp(`^${id}\\s+(\\d+)\\s+RUNNING`, 'm').exec(tasks)?.[1] ?? 0);
  return { key: `${namespace}/${name}`, uid, pid, section: appliedOf(decoded.section), report: reports.get(uid) };
};

const faultsOf = async (pod: RunningPod, signal: AbortSignal): Promise<readonly string[]> => {
  if (pod.pid === 0) return [`${pod.key} does not run`];
  const { report } = pod;
  const isExcused = report?.reason === 'AddressesMissing' && startedWithoutAgent.test(report.message);
  const said =
    isExcused || report?.verified === true ? [] : [`is ${report?.reason ?? 'not reported'}: ${report?.message}`];
  const found = [
    ...said,
    ...limitFaults(pod),
    ...(await sysctlFaults(pod, signal)),
    ...(isExcused ? [] : await addressFaults(pod, signal)),
  ];
  return found.map((fault) => `${pod.key} ${fault}`);
};

const limitFaults = ({ pid, section }: RunningPod): readonly string[] => {
  const planned = section.containers.find(({ name }) => name === 'program');
  if (planned === undefined) return [];
  const { soft, hard } = readNofile(pid);
  const isEnough = soft === planned.soft && hard >= planned.soft;
  return isEnough ? [] : [`has nofile ${soft}/${hard}, planned ${planned.soft}/${planned.hard}`];
};

const inNamespaceOf = (pid: number, command: readonly string[], signal: AbortSignal): Promise<string> =>
  run('nsenter', [`--net=/proc/${pid}/ns/net`, ...command], { signal });

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

const sysctlFaults = async ({ pid, section }: RunningPod, signal: AbortSignal): Promise<readonly string[]> => {
  const { sysctls, portRange } = section;
  const range = { 'net.ipv4.ip_local_port_range': `${portRange.low} ${portRange.high}` };
  const wanted = Object.entries({ ...range, ...sysctls });
  const values = await inNamespaceOf(pid, ['sysctl', '-n', ...wanted.map(([name]) => name)], signal);
  const lines = values.trimEnd().split('\n');
  return wanted.flatMap(([name, value], index) =>
    isDeepStrictEqual(words(value), words(lines[index] ?? '')) ? [] : [`has ${name} ${lines[index]}, planned ${value}`],
  );
};

const addressFaults = async ({ pid, section }: RunningPod, signal: AbortSignal): Promise<readonly string[]> => {
  const wanted = 1 + section.sourceAddresses.extra;
  const shown = await inNamespaceOf(pid, ['ip', '-o', '-4', 'address', 'show', 'scope', 'global'], signal);
  const has = shown.split('\n').filter((line) => line !== '').length;
  return has === wanted ? [] : [`has ${has} addresses, planned ${wanted}`];
};

const countBy = (values: readonly string[]): ReadonlyMap<string, number> =>
  new Map([...Map.groupBy(values, (value) => value)].map(([value, all]) => [value, all.length]));
