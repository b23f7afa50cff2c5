import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { run, succeeds } from './command.ts';
import { LabError } from './lab-error.ts';
import { networkPlanFor, slotCount, type NetworkPlan } from './network-plan.ts';

// A route of this metric loses against any other of the same length; it only catches what has no better one.
const lastResortMetric = '9999';

/** The network namespace's file, for nsenter(1) and setns(2). */
export function namespacePath(name: string): string {
  return `/run/netns/${name}`;
}

/** Runs a program within a network namespace. (`ip netns exec` would also remount /sys and hide the cgroups.) */
export function inNamespace(name: string, command: readonly string[]): readonly string[] {
  return ['nsenter', `--net=${namespacePath(name)}`, '--', ...command];
}

/** A plan whose addresses nobody on this machine uses. Throws LabError NoFreeSlot. */
export function chooseNetworkPlan(instance: string): NetworkPlan {
  const used = new Set(
    Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address)),
  );
  for (let slot = 0; slot < slotCount; slot += 1) {
    const plan = networkPlanFor(instance, slot);
    if (!used.has(plan.hostAddress)) return plan;
  }
  throw new LabError('NoFreeSlot', `${slotCount} clusters run on this machine already`);
}

export async function createNetwork(plan: NetworkPlan, signal: AbortSignal): Promise<void> {
  for (const name of [plan.nodeNamespace, plan.outsideNamespace]) {
    await run('ip', ['netns', 'add', name], { signal });
    await run('ip', ['-n', name, 'link', 'set', 'lo', 'up'], { signal });
  }
  await writeNodeSysctls(plan, signal);
  await linkMachine(plan, signal);
  await linkOutside(plan, signal);
  await fenceRanges(plan, signal);
}

/** Takes the network away; what is not there is no error. */
export async function removeNetwork(plan: NetworkPlan, signal: AbortSignal): Promise<void> {
  for (const name of [plan.nodeNamespace, plan.outsideNamespace]) {
    if (existsSync(namespacePath(name))) await run('ip', ['netns', 'delete', name], { signal });
  }
  // The veth dies with the namespace of its peer, but only when the last process has left that.
  await succeeds('ip', ['link', 'delete', plan.hostLink], { signal });
  for (const range of plan.ranges) {
    await succeeds('ip', ['route', 'delete', 'unreachable', range, 'metric', lastResortMetric], { signal });
  }
}

async function linkMachine(plan: NetworkPlan, signal: AbortSignal): Promise<void> {
  const peer = ['peer', 'name', 'eth0', 'netns', plan.nodeNamespace];
  await run('ip', ['link', 'add', plan.hostLink, 'type', 'veth', ...peer], { signal });
  await run('ip', ['address', 'add', `${plan.hostAddress}/30`, 'dev', plan.hostLink], { signal });
  await run('ip', ['link', 'set', plan.hostLink, 'up'], { signal });
  await run('ip', ['-n', plan.nodeNamespace, 'address', 'add', `${plan.nodeAddress}/30`, 'dev', 'eth0'], { signal });
  await run('ip', ['-n', plan.nodeNamespace, 'link', 'set', 'eth0', 'up'], { signal });
}

async function linkOutside(plan: NetworkPlan, signal: AbortSignal): Promise<void> {
  const node = ['-n', plan.nodeNamespace];
  const outside = ['-n', plan.outsideNamespace];
  const peer = ['peer', 'name', 'eth0', 'netns', plan.outsideNamespace];
  await run('ip', [...node, 'link', 'add', 'outside', 'type', 'veth', ...peer], { signal });
  await run('ip', [...node, 'address', 'add', `${plan.nodeOutsideAddress}/24`, 'dev', 'outside'], { signal });
  await run('ip', [...node, 'link', 'set', 'outside', 'up'], { signal });
  await run('ip', [...outside, 'address', 'add', `${plan.outsideAddress}/24`, 'dev', 'eth0'], { signal });
  await run('ip', [...outside, 'link', 'set', 'eth0', 'up'], { signal });
  await run('ip', [...outside, 'route', 'add', 'local', plan.outsideRange, 'dev', 'lo'], { signal });
  await run('ip', [...outside, 'route', 'add', 'default', 'via', plan.nodeOutsideAddress], { signal });
}

/** The machine reaches pods and services through the node, and what has no route ends here, not on its default route. */
async function fenceRanges(plan: NetworkPlan, signal: AbortSignal): Promise<void> {
  for (const range of plan.ranges) {
    await run('ip', ['route', 'replace', 'unreachable', range, 'metric', lastResortMetric], { signal });
  }
  for (const range of [plan.podCidr, plan.serviceCidr, `${plan.vmAddress}/32`]) {
    await run('ip', ['route', 'replace', range, 'via', plan.nodeAddress, 'dev', plan.hostLink], { signal });
  }
}

async function writeNodeSysctls(plan: NetworkPlan, signal: AbortSignal): Promise<void> {
  const settings = [
    'net.ipv4.ip_forward=1',
    'net.ipv6.conf.all.disable_ipv6=1',
    'net.ipv4.conf.all.rp_filter=0',
    'net.ipv4.conf.default.rp_filter=0',
  ];
  const [file = '', ...args] = inNamespace(plan.nodeNamespace, ['sysctl', '-qw', ...settings]);
  await run(file, args, { signal });
}
