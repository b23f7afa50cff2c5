import { isIP } from 'node:net';
import type { NodeAccess } from './node-access.ts';
import { AddressError } from './provider.ts';

/** An address that host-local has handed out. */
export interface StoredLease {
  readonly address: string;
  readonly containerId: string;
  readonly interfaceName: string;
  readonly takenAtMs: number;
}

/** Of the leases that are ours: cb0, cb1, … A pod's own ones have the name of its interface. */
const ownName = /^cb\d{1,3}$/;

export const leaseName = (index: number): string => `cb${index}`;

export const isOwnLease = ({ interfaceName }: Pick<StoredLease, 'interfaceName'>): boolean =>
  ownName.test(interfaceName);

// CNI specification 1.1, section 2; IFNAMSIZ in linux/if.h.
const containerIdPattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/;
const interfacePattern = /^[^\s/]{1,15}$/;

/**
 * A file of the store: its name is the address, its two lines are the container's id and the interface's name
 * (plugins/ipam/host-local/backend/disk). Undefined for whatever else lies there: lock, last_reserved_ip.0.
 */
export function parseLease(
  name: string,
  { text, modifiedAtMs }: { readonly text: string; readonly modifiedAtMs: number },
): StoredLease | undefined {
  const [containerId = '', interfaceName = '', ...rest] = text.trim().split(/\r?\n/);
  const isLease = isIP(name) !== 0 && containerIdPattern.test(containerId) && interfacePattern.test(interfaceName);
  return isLease && rest.length === 0
    ? { address: name, containerId, interfaceName, takenAtMs: modifiedAtMs }
    : undefined;
}

/** Everything that is handed out on this node. Throws AddressError StoreNotVisible. */
export async function readStore(path: string, access: NodeAccess): Promise<readonly StoredLease[]> {
  const names = await access.list(path);
  if (names === undefined) throw new AddressError('StoreNotVisible', `the agent does not see the leases in ${path}`);
  const leases: StoredLease[] = [];
  for (const name of names.filter((entry) => isIP(entry) !== 0)) {
    const file = await access.read(`${path}/${name}`);
    const lease = file === undefined ? undefined : parseLease(name, file);
    if (lease !== undefined) leases.push(lease);
  }
  return leases;
}
