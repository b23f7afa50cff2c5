import type { PortRange } from '../planner/demand.ts';
import { LinuxError } from '../linux/linux-error.ts';
import type { OperationResult } from '../linux/namespace-operations.ts';
import type { NamespaceWorker } from '../linux/namespace-worker.ts';
import type { SpreadPod, TimeWaitReuse } from '../linux/spread/pod-entry.ts';
import { parsePortList } from '../linux/sysctls.ts';
import type { PlannedPod } from './planned-pods.ts';
import { sourceAddressesOf } from './source-addresses.ts';

/** What a pod's network namespace says of source addresses and ports. */
export interface PodNetwork {
  readonly cookie: bigint;
  readonly addresses: readonly string[];
  readonly range: PortRange;
  readonly reservedPorts: readonly number[];
  readonly timeWaitReuse: TimeWaitReuse;
}

/** As CNI names a pod's first interface (CRI). */
const ownInterface = 'eth0';
/** tcp_tw_reuse_delay before 6.14, where the kernel counts in whole seconds. */
const usualReuseDelayMs = 1000;

/** Read, not taken from the plan: a user may have set the range by hand. Throws LinuxError. */
export async function readPodNetwork(
  pod: PlannedPod,
  worker: NamespaceWorker,
  signal: AbortSignal,
): Promise<PodNetwork> {
  const [cookie, range, reserved, reuse, delay, addresses] = await worker.run(
    pod.netnsPath ?? '',
    [
      { operation: 'ReadNetnsCookie' },
      { operation: 'ReadSysctl', name: 'net.ipv4.ip_local_port_range' },
      { operation: 'ReadSysctl', name: 'net.ipv4.ip_local_reserved_ports' },
      { operation: 'ReadSysctl', name: 'net.ipv4.tcp_tw_reuse' },
      { operation: 'ReadSysctl', name: 'net.ipv4.tcp_tw_reuse_delay' },
      { operation: 'ListAddresses' },
    ],
    signal,
  );
  const further = sourceAddressesOf(pod);
  const isOnOwnLink = pod.addresses.leases?.attachment !== 'Present';
  const own = valueOf(addresses)
    .filter(({ interfaceName }) => interfaceName === ownInterface)
    .map(({ ip }) => ip)
    .filter((ip) => !isLinkLocal(ip));
  return {
    cookie: valueOf(cookie),
    addresses: further.length > 0 && isOnOwnLink ? further : own,
    range: parsePortRange(valueOf(range)),
    reservedPorts: portsListed(valueOf(reserved)),
    timeWaitReuse: timeWaitReuseFor(valueOf(reuse), delay.ok ? Number(delay.value) : usualReuseDelayMs),
  };
}

export const podEntryOf = (network: PodNetwork, chooses: SpreadPod['chooses']): SpreadPod => ({
  addresses: network.addresses,
  range: network.range,
  reservedPorts: network.reservedPorts,
  chooses,
  timeWaitReuse: network.timeWaitReuse,
});

/** "1883,8080-8082" → 1883, 8080, 8081, 8082 (ip-sysctl.rst, ip_local_reserved_ports). */
export function portsListed(text: string): readonly number[] {
  return parsePortList(text).flatMap(({ low, high }) => Array.from({ length: high - low + 1 }, (_, at) => low + at));
}

function parsePortRange(text: string): PortRange {
  const [low = 0, high = 0] = text.split(' ').map(Number);
  return { low, high };
}

/** ip-sysctl.rst, tcp_tw_reuse: 0 nothing, 1 everything, 2 loopback. */
function timeWaitReuseFor(value: string, delayMs: number): TimeWaitReuse {
  const of = ({ 0: 'Nothing', 1: 'All' } as const)[value] ?? 'Loopback';
  // 0 would be "never" in the entry.
  return { of, delayMs: Math.max(1, delayMs) };
}

const isLinkLocal = (ip: string): boolean => /^fe[89ab]/i.test(ip) || ip.startsWith('169.254.');

function valueOf<T>(result: OperationResult<T>): T {
  if (!result.ok) throw new LinuxError(result.failure);
  return result.value;
}
