import { isIP } from 'node:net';
import { z } from 'zod';
import { printable } from '../api/printable.ts';
import type { CniNetwork } from './cni-network.ts';
import type { Ended, NodeAccess } from './node-access.ts';
import { AddressError } from './provider.ts';

/** Calls of an IPAM plugin by the CNI protocol: parameters in the environment, the configuration on standard input. */

export interface IpamCall {
  readonly command: 'ADD' | 'DEL';
  readonly containerId: string;
  readonly interfaceName: string;
  /** Empty where it is gone. */
  readonly netnsPath: string;
}

export interface IpamSetting {
  readonly access: NodeAccess;
  /** Where the node keeps CNI plugins. */
  readonly programFolders: readonly string[];
}

const resultSchema = z.looseObject({ ips: z.array(z.looseObject({ address: z.string() })).min(1) });
const errorSchema = z.looseObject({ code: z.int(), msg: z.string(), details: z.string().optional() });

/** host-local has no code of its own for it (plugins/ipam/host-local/backend/allocator). */
const exhausted = /no IP addresses available/i;

/** Addresses of a result of ADD, one for each family, without their prefix lengths. Throws AddressError. */
export function parseResult(stdout: string): readonly string[] {
  const result = resultSchema.safeParse(jsonOf(stdout));
  const addresses = result.data?.ips.map(({ address }) => address.replace(/\/\d+$/, '')) ?? [];
  if (addresses.length > 0 && addresses.every((address) => isIP(address) !== 0)) return addresses;
  throw new AddressError('ProviderFailed', 'the IPAM plugin answered with something else than addresses');
}

/** From what a plugin said when it failed. */
export function errorOf({ status, stdout, stderr }: Ended): AddressError {
  const said = errorSchema.safeParse(jsonOf(stdout)).data;
  const text = said === undefined ? stderr.trim() : [said.msg, said.details].filter(Boolean).join(': ');
  const message = printable(text === '' ? `the IPAM plugin ended with status ${status}` : text).slice(0, 300);
  return new AddressError(exhausted.test(message) ? 'RangeExhausted' : 'ProviderFailed', message);
}

/** The addresses that ADD gives; none for DEL. Throws AddressError. */
export async function callIpam(
  network: CniNetwork,
  call: IpamCall,
  { setting, signal }: { readonly setting: IpamSetting; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const { access, programFolders } = setting;
  const { name, cniVersion, ipam } = network;
  const environment = {
    CNI_COMMAND: call.command,
    CNI_CONTAINERID: call.containerId,
    CNI_IFNAME: call.interfaceName,
    CNI_NETNS: call.netnsPath,
    CNI_PATH: programFolders.join(':'),
  };
  const input = JSON.stringify({ name, cniVersion, ipam });
  const program = await programOf(network, setting);
  const ended = await access.run(program, { environment, input, signal }).catch((cause: unknown) => {
    if (!signal.aborted) throw new AddressError('ProviderFailed', `${program} could not be run`, { cause });
    throw new AddressError('TimedOut', `${program} did not end in time`, { cause });
  });
  if (ended.status !== 0) throw errorOf(ended);
  return call.command === 'ADD' ? parseResult(ended.stdout) : [];
}

async function programOf({ ipamType }: CniNetwork, { access, programFolders }: IpamSetting): Promise<string> {
  for (const folder of programFolders) {
    if ((await access.list(folder))?.includes(ipamType) === true) return `${folder}/${ipamType}`;
  }
  const message = `the IPAM plugin ${ipamType} is not in ${programFolders.join(', ')} as the agent sees it`;
  throw new AddressError('StoreNotVisible', message);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
