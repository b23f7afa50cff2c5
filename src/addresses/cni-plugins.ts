import type { Attachment } from './provider.ts';

/** What is known of the plugins that make a pod's network, by the `type` in their configuration. */

/** The plugins whose pods may have further addresses: nothing but the IPAM plugin decides what a pod's addresses are. */
export const openPlugins: ReadonlyMap<string, Attachment> = new Map([
  ['bridge', 'Bridged'],
  // The node has a host route to each pod; kindnet is this one.
  ['ptp', 'Routed'],
]);

/** Its configuration names another plugin, with the node's own range, at run time. */
export const flannelPlugin = 'flannel';

/** Plugins that come after in a list, and leave addresses that they do not know alone. */
export const harmlessPlugins: ReadonlySet<string> = new Set([
  'portmap',
  'bandwidth',
  'tuning',
  'loopback',
  'istio-cni',
  'linkerd-cni',
]);

/** Why a network cannot be asked; the sentence goes on after its type. */
const closedPlugins: ReadonlyMap<string, string> = new Map([
  ['calico', 'routes and admits only the addresses of its own IPAM'],
  ['cilium-cni', 'drops packets from addresses that are not an endpoint of its own'],
  ['aws-cni', 'gives a pod one address of the network interfaces of its instance'],
  ['aws-bottlerocket', 'gives a pod one address of the network interfaces of its instance'],
  ['azure-vnet', 'gives a pod one address that Azure has assigned to the node'],
  ['gke', 'gives a pod one alias address of the node'],
  ['ovn-k8s-cni-overlay', 'admits only the address of the logical port of a pod'],
  ['kube-ovn', 'admits only the address of the logical port of a pod'],
  ['antrea', 'drops packets from addresses that it has not given to a pod'],
  ['weave-net', 'hands out addresses by its own daemon'],
  ['macvlan', 'gives the node itself no way to its pods'],
  ['ipvlan', 'gives the node itself no way to its pods'],
  ['multus', 'only calls other plugins: provider Multus asks for an attachment with several addresses'],
  ['multus-shim', 'only calls other plugins: provider Multus asks for an attachment with several addresses'],
  ['firewall', 'lets through only the addresses that it was told of when the pod was made'],
  ['whereabouts', 'hands out one address for each range of its configuration'],
  ['calico-ipam', 'hands out addresses that only Calico routes'],
  ['static', 'hands out the addresses of its configuration and no others'],
  ['dhcp', 'leases by a daemon of its own, one address for each interface'],
  ['azure-vnet-ipam', 'gives a pod one address that Azure has assigned to the node'],
]);

export const refusalOf = (type: string): string =>
  closedPlugins.get(type) ?? 'is not known to hand out further addresses of a pod';
