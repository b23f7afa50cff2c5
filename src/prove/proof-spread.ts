import { ownCgroup2 } from '../linux/cgroups.ts';
import { LinuxError } from '../linux/linux-error.ts';
import type { NamespaceWorker } from '../linux/namespace-worker.ts';
import type { SpreadPod } from '../linux/spread/pod-entry.ts';
import { openSpreader, type Spreader } from '../linux/spread/spreader.ts';
import type { Demand } from '../planner/demand.ts';
import type { Plan } from '../planner/plan.ts';
import type { ProofState, Spreading } from './proof-state.ts';
import { ProveError } from './prove-error.ts';
import { podSourceIps } from './topology.ts';
import { ipText } from './topology-text.ts';

/** undefined: the plan asks for nothing of this kind. */
export const spreadingFor = ({ outbound, extraAddresses }: Demand, plan: Plan): Spreading | undefined => {
  const late = outbound.filter(({ binding }) => binding === 'Late');
  if (late.length === 0 || extraAddresses.spread === 'Application') return undefined;
  if (late.some(({ portSelection }) => portSelection === 'Spread')) return { chooses: 'Tuples' };
  return plan.sourceAddresses.extra > 0 ? { chooses: 'Addresses' } : undefined;
};

/** A program in the kernel for as long as the proof runs, or why there is none. */
export interface ProofSpreader extends Disposable {
  readonly spreader: Spreader | undefined;
  readonly note: string | undefined;
}

const none = (reason: string): ProofSpreader => ({
  spreader: undefined,
  note: `connections are not spread as in a cluster (${reason}): the proof's program chooses its own addresses and, by IP_LOCAL_PORT_RANGE, ports`,
  [Symbol.dispose]: () => undefined,
});

/** On the cgroup of this process, which the processes of the proof are in too; for everybody else it does nothing. */
export const openProofSpreader = (spreading: Spreading | undefined, objectPath: string | undefined): ProofSpreader => {
  if (spreading === undefined) return { spreader: undefined, note: undefined, [Symbol.dispose]: () => undefined };
  if (objectPath === undefined) return none('this program came without the eBPF object');
  const cgroup = ownCgroup2();
  if (cgroup === undefined) return none('this machine has no cgroups of version 2');
  const spreader = openSpreader({ objectPath, bpffsPath: undefined, hostCookies: new Set() });
  if (spreader.form === 'None') return none(spreader.reason);
  return attached(spreader, { cgroup, spreading });
};

const attached = (
  spreader: Spreader,
  { cgroup, spreading }: { readonly cgroup: string; readonly spreading: Spreading },
): ProofSpreader => {
  try {
    const { form, reason } = spreader.attach(cgroup);
    if (form === spreading.chooses || form === 'Tuples')
      return { spreader, note: undefined, [Symbol.dispose]: () => spreader[Symbol.dispose]() };
    spreader[Symbol.dispose]();
    return none(reason ?? 'ports are left to the kernel');
  } catch (error) {
    spreader[Symbol.dispose]();
    if (error instanceof LinuxError) return none(error.message);
    throw error;
  }
};

/** The entry of the proof's pod. Nothing closes in a proof, so that TIME_WAIT is none of its business. */
const podFor = (state: ProofState, { chooses }: Spreading): SpreadPod => {
  const reserved = state.sysctls.find(({ name }) => name === 'net.ipv4.ip_local_reserved_ports')?.value ?? '';
  return {
    addresses: podSourceIps(state).map(ipText),
    range: state.plan.portRange,
    reservedPorts: reserved.split(',').filter(Boolean).map(Number),
    chooses,
    timeWaitReuse: { of: 'Nothing', delayMs: 1000 },
  };
};

/** Before the first process of the pod is there. */
export const spreadPod = async (
  state: ProofState,
  spreader: Spreader,
  { worker, netnsPath }: { readonly worker: NamespaceWorker; readonly netnsPath: string },
): Promise<void> => {
  if (state.spreading === undefined) return;
  const [cookie] = await worker.run(netnsPath, [{ operation: 'ReadNetnsCookie' }]);
  if (!cookie.ok) throw new ProveError('CannotHere', cookie.failure.message);
  spreader.setPod(cookie.value, podFor(state, state.spreading));
};
