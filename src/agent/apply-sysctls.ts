import { LinuxError } from '../linux/linux-error.ts';
import type { EnsureSysctl, OperationResult, ReadSysctl } from '../linux/namespace-operations.ts';
import { type EnsuredSysctl, isSufficientSysctl } from '../linux/sysctls.ts';
import { type Finding, sysctlFinding } from './finding.ts';
import type { Host } from './host.ts';
import type { Outcome, PlannedPod } from './planned-pods.ts';
import { type PlannedSysctl, plannedSysctls } from './planned-sysctls.ts';

export interface ApplyTime {
  /** Whether a container of the pod may have started already. */
  readonly isLate: boolean;
  readonly signal: AbortSignal;
}

/**
 * Sets in the pod's namespace what is planned and not there, and reads it back. Rejects with LinuxError Gone where the
 * namespace is; every other failure is a finding.
 */
export async function applySysctls(pod: PlannedPod, host: Host, time: ApplyTime): Promise<Outcome> {
  if (pod.plan.state === 'Rejected') return { isChecked: true, isLate: false, findings: [] };
  const { netnsPath } = pod;
  const options = { allowed: host.caps.sysctls, hasOwnNetwork: netnsPath !== undefined };
  const { sysctls, findings } = plannedSysctls(pod.plan.section, options);
  if (netnsPath === undefined || sysctls.length === 0) return { isChecked: true, isLate: false, findings };
  const { isLate, findings: seen } = await visitNamespace(sysctls, host, { ...time, netnsPath });
  return { isChecked: true, isLate, findings: [...findings, ...seen] };
}

type Visit = Pick<Outcome, 'isLate' | 'findings'>;

async function visitNamespace(
  sysctls: readonly PlannedSysctl[],
  { worker }: Host,
  { netnsPath, isLate, signal }: ApplyTime & { readonly netnsPath: string },
): Promise<Visit> {
  try {
    const results = await worker.run(netnsPath, sysctls.map(operationFor), signal);
    const seen = results.map(seenOf);
    return {
      // The runtime may have given the pod up meanwhile, and started its containers: an agent that was stopped cannot tell.
      isLate: (isLate || signal.aborted) && seen.some(({ isWritten }) => isWritten),
      findings: sysctls.flatMap((sysctl, index) => findingsFor(sysctl, seen[index])),
    };
  } catch (error) {
    if (!(error instanceof LinuxError) || error.kind === 'Gone') throw error;
    return { isLate: false, findings: sysctls.map((sysctl) => failureFinding(sysctl, error.message)) };
  }
}

const operationFor = ({ name, value, setBy }: PlannedSysctl): ReadSysctl | EnsureSysctl =>
  setBy === 'Agent' ? { operation: 'EnsureSysctl', name, value } : { operation: 'ReadSysctl', name };

interface Seen {
  readonly value: string;
  readonly isWritten: boolean;
  readonly failure: string | undefined;
}

function seenOf(result: OperationResult<string | EnsuredSysctl>): Seen {
  if (!result.ok) return { value: '', isWritten: false, failure: result.failure.message };
  const { value } = result;
  return { ...(typeof value === 'string' ? { value, isWritten: false } : value), failure: undefined };
}

function findingsFor(sysctl: PlannedSysctl, seen: Seen | undefined): readonly Finding[] {
  const { value = '', failure } = seen ?? {};
  if (failure !== undefined) return [failureFinding(sysctl, failure)];
  if (isSufficientSysctl(sysctl.name, sysctl.value, value)) return [];
  const why = `"${value}" is there${sysctl.setBy === 'Kubelet' ? ", set by the pod's own spec or not at all" : ''}`;
  return [sysctlFinding(sysctl.name, sysctl.value, why)];
}

const failureFinding = ({ name, value }: PlannedSysctl, why: string): Finding => sysctlFinding(name, value, why);
