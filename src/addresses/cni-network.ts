import { isAbsolute, join } from 'node:path';
import * as z from 'zod';
import { flannelPlugin, harmlessPlugins, openPlugins, refusalOf } from './cni-plugins.ts';
import { AddressError, type Attachment } from './provider.ts';

/** A network whose IPAM plugin can be asked for more, from its configuration (CNI specification 1.1, section 1). */
export interface CniNetwork {
  readonly name: string;
  readonly cniVersion: string;
  readonly attachment: Attachment;
  readonly ipamType: string;
  /** As the plugin of the network hands it on. */
  readonly ipam: Readonly<Record<string, unknown>>;
  /** Where host-local keeps its leases. */
  readonly storePath: string;
}

/** A network whose plugin writes its real configuration into a file for each pod. */
export interface DelegatingNetwork {
  readonly name: string;
  readonly cniVersion: string;
  readonly delegatesIn: string;
}

const ipamSchema = z.looseObject({ type: z.string().optional(), dataDir: z.string().optional() });
const pluginSchema = z.looseObject({
  type: z.string().min(1),
  ipMasq: z.boolean().optional(),
  ipam: ipamSchema.optional(),
  dataDir: z.string().optional(),
});
type Plugin = z.output<typeof pluginSchema>;

// The name is a folder of the store: nothing that leads out of it (CNI specification, section 1).
const networkName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/);
const version = z.string().max(16).optional();
const listSchema = z.looseObject({ name: networkName, cniVersion: version, plugins: z.array(pluginSchema).min(1) });
const singleSchema = pluginSchema.extend({ name: networkName, cniVersion: version });

const defaultStore = '/var/lib/cni/networks';
const defaultFlannelData = '/var/lib/cni/flannel';

interface PluginList {
  readonly name: string;
  readonly cniVersion: string;
  readonly plugins: readonly Plugin[];
}

/** The file that the container runtime takes: the first of these endings (libcni, ConfFiles), by name. */
export const networkFileOf = (names: readonly string[]): string | undefined =>
  names.filter((name) => /\.(conf|conflist|json)$/.test(name)).toSorted()[0];

/** Reads a network configuration (.conf) or a list of them (.conflist). Throws AddressError. */
export function parseNetwork(text: string): CniNetwork | DelegatingNetwork {
  const { name, cniVersion, plugins } = parseList(text);
  const [first, ...rest] = plugins;
  if (first === undefined) throw new AddressError('NetworkUnknown', 'the network configuration names no plugin');
  const network =
    first.type === flannelPlugin
      ? { name, cniVersion, delegatesIn: first.dataDir ?? defaultFlannelData }
      : networkOf({ name, cniVersion }, first);
  for (const { type } of rest) if (!harmlessPlugins.has(type)) throw unsupported(type);
  return network;
}

/** What a delegating network's plugin wrote down for one pod. Throws AddressError. */
export function parseDelegate(network: DelegatingNetwork, text: string): CniNetwork {
  const parsed = pluginSchema.safeParse(jsonOf(text));
  if (parsed.success) return networkOf(network, parsed.data);
  throw new AddressError('NetworkUnknown', `a file in ${network.delegatesIn} is not the configuration of a network`);
}

function networkOf(identity: Pick<PluginList, 'name' | 'cniVersion'>, plugin: Plugin): CniNetwork {
  const { type, ipMasq = false, ipam } = plugin;
  const attachment = openPlugins.get(type);
  if (attachment === undefined) throw unsupported(type);
  if (ipMasq) throw new AddressError('NetworkUnsupported', `${type} ${masquerades}`);
  if (ipam?.type === undefined) throw new AddressError('NetworkUnsupported', `${type} hands out no addresses here`);
  if (ipam.type !== 'host-local') throw unsupported(ipam.type);
  const { dataDir = defaultStore } = ipam;
  if (!isAbsolute(dataDir)) throw new AddressError('NetworkUnknown', `dataDir "${dataDir}" must be absolute`);
  const { name, cniVersion } = identity;
  return { name, cniVersion, attachment, ipamType: ipam.type, ipam, storePath: join(dataDir, name) };
}

const masquerades =
  'translates the address of each pod by itself (ipMasq), and further addresses would leave the node untranslated';

const unsupported = (type: string): AddressError =>
  new AddressError('NetworkUnsupported', `the network's plugin ${JSON.stringify(type)} ${refusalOf(type)}`);

function parseList(text: string): PluginList {
  const json = jsonOf(text);
  const list = listSchema.safeParse(json);
  if (list.success) return { ...list.data, cniVersion: versionFor(list.data.cniVersion) };
  const single = singleSchema.safeParse(json);
  if (!single.success) throw new AddressError('NetworkUnknown', 'the network configuration is not one of CNI');
  return { name: single.data.name, cniVersion: versionFor(single.data.cniVersion), plugins: [single.data] };
}

/** Results have had one form since 0.3; plugins that are older than that take 0.3.1 all the same. */
const versionFor = (declared = '0.3.1'): string => (/^0\.[0-2]\./.test(declared) ? '0.3.1' : declared);

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AddressError('NetworkUnknown', 'the network configuration is not JSON', { cause });
  }
}
