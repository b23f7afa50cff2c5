import { LinuxError } from '../linux/linux-error.ts';
import type { OperationResult } from '../linux/namespace-operations.ts';
import { type Finding, sysctlFinding } from './finding.ts';
import type { Host } from './host.ts';
import type { Outcome, PlannedPod } from './planned-pods.ts';
import { isSufficient, type PlannedSysctl, plannedSysctls } from './planned-sysctls.ts';

type Result = OperationResult<string>;

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
  let isWriting = false;
  try {
    const reads = sysctls.map(({ name }) => ({ operation: 'ReadSysctl', name }) as const);
    const seen = await worker.run(netnsPath, reads, signal);
    const missing = sysctls.filter((sysctl, index) => sysctl.setBy === 'Agent' && !suffices(sysctl, seen[index]));
    const writes = missing.map(({ name, value }) => ({ operation: 'WriteSysctl', name, value }) as const);
    isWriting = writes.length > 0;
    const written = !isWriting ? [] : await worker.run(netnsPath, writes, signal);
    const now = new Map(sysctls.map((sysctl, index) => [sysctl, seen[index]]));
    for (const [index, sysctl] of missing.entries()) now.set(sysctl, written[index]);
    return {
      // The runtime may have given the pod up meanwhile, and started its containers: an agent that was stopped cannot tell.
      isLate: (isLate || signal.aborted) && written.some(({ ok }) => ok),
      findings: sysctls.flatMap((sysctl) => findingsFor(sysctl, now.get(sysctl))),
    };
  } catch (error) {
    if (!(error instanceof LinuxError) || error.kind === 'Gone') throw error;
    // What nobody waits for any more may still be written.
    return { isLate: isWriting, findings: sysctls.map((sysctl) => failureFinding(sysctl, error.message)) };
  }
}

const suffices = (sysctl: PlannedSysctl, result: Result | undefined): boolean =>
  result?.ok === true && isSufficient(sysctl, result.value);

function findingsFor(sysctl: PlannedSysctl, result: Result | undefined): readonly Finding[] {
  if (suffices(sysctl, result)) return [];
  if (result?.ok === false) return [failureFinding(sysctl, result.failure.message)];
  const why = `"${result?.value ?? ''}" is there${sysctl.setBy === 'Kubelet' ? ", set by the pod's own spec or not at all" : ''}`;
  return [sysctlFinding(sysctl.name, sysctl.value, why)];
}

const failureFinding = ({ name, value }: PlannedSysctl, why: string): Finding => sysctlFinding(name, value, why);
