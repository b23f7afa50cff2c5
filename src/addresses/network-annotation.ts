import * as z from 'zod';
import type { AttachmentRequest } from './multus.ts';

/**
 * The annotation k8s.v1.cni.cncf.io/networks, in which a pod asks Multus for interfaces: a JSON list, or the short form
 * "namespace/name@interface,…" (Network Plumbing Working Group's specification of 2019, 4.1.2). What the user wrote stays, in
 * its order and with every field; ours come after it, so that Multus' own names (net1, net2, …) do not move.
 */
export const networksAnnotation = 'k8s.v1.cni.cncf.io/networks';

/** What Multus says that the pod got. */
export const networkStatusAnnotation = 'k8s.v1.cni.cncf.io/network-status';

const entry = z.looseObject({ name: z.string().min(1), interface: z.string().optional() });
const entries = z.array(entry);
type Entry = z.output<typeof entry>;

/** "edge/net-a@eth1" */
const shortEntry = (text: string): Entry => {
  const [path = '', requested] = text.trim().split('@');
  const [first = '', second] = path.split('/');
  return {
    name: second ?? first,
    ...(second === undefined ? {} : { namespace: first }),
    ...(requested === undefined ? {} : { interface: requested }),
  };
};

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};

/** Multus takes what has a bracket, brace or quote in it as JSON. undefined for what it could not read either. */
const parseNetworks = (text: string): readonly Entry[] | undefined => {
  if (text.trim() === '') return [];
  if (/[[{"]/.test(text)) return entries.safeParse(jsonOf(text)).data;
  return entries.safeParse(text.split(',').map(shortEntry)).data;
};

const interfacesFor = (count: number, taken: ReadonlySet<string | undefined>): readonly string[] => {
  const names: string[] = [];
  for (let at = 0; names.length < count; at += 1) if (!taken.has(`cb${at}`)) names.push(`cb${at}`);
  return names;
};

export interface MergedNetworks {
  /** The annotation's new value; undefined: it is to go, or to stay away. */
  readonly value: string | undefined;
  /** Our interfaces in it, for the next review to know them by. */
  readonly interfaces: readonly string[];
}

/** undefined where what is there cannot be read: then nothing is changed. `ours` are the interfaces of an earlier review. */
export const mergeNetworks = (
  present: string | undefined,
  ours: readonly string[],
  requests: readonly AttachmentRequest[],
): MergedNetworks | undefined => {
  const all = parseNetworks(present ?? '');
  if (all === undefined) return undefined;
  const kept = all.filter((one) => one.interface === undefined || !ours.includes(one.interface));
  if (requests.length === 0 && kept.length === all.length) return { value: present, interfaces: [] };
  const interfaces = interfacesFor(requests.length, new Set(kept.map((one) => one.interface)));
  const added = requests.map((request, at) => ({ ...request, interface: interfaces[at] }));
  const merged = [...kept, ...added];
  return { value: merged.length === 0 ? undefined : JSON.stringify(merged), interfaces };
};

const status = z.array(z.looseObject({ interface: z.string().optional(), ips: z.array(z.string()).optional() }));

/** Addresses of each family on our interfaces, by what Multus reported; the fewest of the families that are there. */
export const attachedAddresses = (report: string | undefined, ours: readonly string[]): number => {
  const { data = [] } = status.safeParse(jsonOf(report ?? '[]'));
  const ips = data.filter((one) => ours.includes(one.interface ?? '')).flatMap((one) => one.ips ?? []);
  const ipv6 = ips.filter((ip) => ip.includes(':')).length;
  const counts = [ips.length - ipv6, ipv6].filter((count) => count > 0);
  return counts.length === 0 ? 0 : Math.min(...counts);
};
