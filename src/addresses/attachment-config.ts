import { z } from 'zod';
import { isIP } from 'node:net';
import type { IpFamily } from '../planner/demand.ts';

/**
 * What a NetworkAttachmentDefinition's CNI configuration says of addresses: k8s.cni.cncf.io/v1, spec.config, as the plugins
 * document it (https://www.cni.dev/plugins/current/ipam, https://github.com/k8snetworkplumbingwg/whereabouts).
 */

export interface Subnet {
  readonly family: IpFamily;
  readonly first: bigint;
  readonly last: bigint;
}

/** One address of each attachment comes from each of these. */
export interface RangeSet {
  readonly family: IpFamily;
  readonly subnets: readonly Subnet[];
  /** How many addresses it has in all, for all pods. */
  readonly addresses: number;
}

export interface AttachmentConfig {
  readonly ipam:
    | { readonly kind: 'Ranges'; readonly type: 'host-local' | 'whereabouts'; readonly sets: readonly RangeSet[] }
    | { readonly kind: 'Static'; readonly takesIps: boolean; readonly hasOwn: boolean }
    | { readonly kind: 'Other'; readonly type: string };
  /** What is routed over the attachment by the pod's main table. */
  readonly routes: readonly Subnet[];
  /** sbr is chained: what is bound to an address of the attachment leaves over it, wherever it goes. */
  readonly routesBySource: boolean;
}

const bitsOf = { IPv4: 32n, IPv6: 128n } as const;

const ipv6Groups = (text: string): readonly string[] => (text === '' ? [] : text.split(':'));

/** An address as a number; undefined for what is none. */
const valueOf = (ip: string): bigint | undefined => {
  if (isIP(ip) === 4) return ip.split('.').reduce((value, part) => value * 256n + BigInt(part), 0n);
  if (isIP(ip) !== 6 || /[.%]/.test(ip)) return undefined;
  const [head = '', tail] = ip.split('::');
  const [before, after] = [ipv6Groups(head), ipv6Groups(tail ?? '')];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after].reduce((value, group) => value * 65_536n + BigInt(`0x${group}`), 0n);
};

/** "10.1.0.0/16"; an address alone is a subnet of one. undefined for what is none. */
export const parseSubnet = (text: string): Subnet | undefined => {
  const [, ip = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const value = valueOf(ip);
  const family = ip.includes(':') ? 'IPv6' : 'IPv4';
  const length = prefix === undefined ? Number(bitsOf[family]) : Number(prefix);
  if (value === undefined || length > bitsOf[family]) return undefined;
  const size = 1n << (bitsOf[family] - BigInt(length));
  const first = value - (value % size);
  return { family, first, last: first + size - 1n };
};

export const holdsAddress = (subnet: Subnet, ip: string): boolean => {
  const value = valueOf(ip);
  const family = ip.includes(':') ? 'IPv6' : 'IPv4';
  return value !== undefined && family === subnet.family && subnet.first <= value && value <= subnet.last;
};

const smallest = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const largest = (a: bigint, b: bigint): bigint => (a > b ? a : b);

interface Bounds {
  readonly start?: string | undefined;
  readonly end?: string | undefined;
}

/** Network and, of IPv4, broadcast address are nobody's; a subnet of one or two addresses has no others. */
const usableBounds = ({ family, first, last }: Subnet, { start, end }: Bounds): readonly [bigint, bigint] => {
  const isSmall = last - first < 2n;
  const lowest = isSmall ? first : first + 1n;
  const highest = isSmall || family === 'IPv6' ? last : last - 1n;
  return [largest(valueOf(start ?? '') ?? lowest, lowest), smallest(valueOf(end ?? '') ?? highest, highest)];
};

/** How many from `low` to `high` are in none of `kept`, which may overlap. */
const countOutside = ([low, high]: readonly [bigint, bigint], kept: readonly Subnet[]): bigint => {
  let [free, from] = [0n, low];
  for (const { first, last } of kept.toSorted((a, b) => (a.first < b.first ? -1 : 1))) {
    free += largest(0n, smallest(first - 1n, high) - from + 1n);
    from = largest(from, last + 1n);
  }
  return free + largest(0n, high - from + 1n);
};

const countIn = (subnet: Subnet, bounds: Bounds, kept: readonly Subnet[]): number => {
  const ofFamily = kept.filter(({ family }) => family === subnet.family);
  return Number(countOutside(usableBounds(subnet, bounds), ofFamily));
};

const hostLocalRange = z.object({
  subnet: z.string(),
  rangeStart: z.string().optional(),
  rangeEnd: z.string().optional(),
  gateway: z.string().optional(),
});
const route = z.object({ dst: z.string() });
const hostLocal = z.object({
  ...hostLocalRange.partial().shape,
  ranges: z.array(z.array(hostLocalRange)).optional(),
});
const whereaboutsRange = z.object({
  range: z.string(),
  range_start: z.string().optional(),
  range_end: z.string().optional(),
  exclude: z.array(z.string()).optional(),
});
const whereabouts = z.object({ ...whereaboutsRange.partial().shape, ipRanges: z.array(whereaboutsRange).optional() });
const ipam = z.looseObject({
  type: z.string(),
  routes: z.array(route).optional(),
  addresses: z.array(z.unknown()).optional(),
});
const plugin = z.looseObject({
  type: z.string(),
  ipam: ipam.partial().optional(),
  capabilities: z.record(z.string(), z.boolean()).optional(),
});
const network = z.union([
  z.object({ plugins: z.array(plugin).min(1) }),
  plugin.transform((one) => ({ plugins: [one] })),
]);

/** The gateway, by default the first address, is never handed out (host-local, range.go of its documentation). */
const hostLocalSet = (ranges: readonly z.output<typeof hostLocalRange>[]): RangeSet | undefined => {
  const subnets = ranges.map(({ subnet }) => parseSubnet(subnet));
  const [first] = subnets;
  if (first === undefined || !subnets.every((subnet) => subnet !== undefined)) return undefined;
  const counts = ranges.map(({ rangeStart, rangeEnd, gateway }, at) => {
    const subnet = subnets[at] ?? first;
    const gatewayValue = valueOf(gateway ?? '') ?? subnet.first + 1n;
    const kept = { family: subnet.family, first: gatewayValue, last: gatewayValue };
    return countIn(subnet, { start: rangeStart, end: rangeEnd }, [kept]);
  });
  return { family: first.family, subnets, addresses: counts.reduce((sum, count) => sum + count, 0) };
};

/** "192.0.2.0/24", or with its bounds in it: "192.0.2.10-192.0.2.20/24". */
const whereaboutsSet = (entry: z.output<typeof whereaboutsRange>): RangeSet | undefined => {
  const [, low, rest = entry.range] = /^([^-/]+)-(.+)$/.exec(entry.range) ?? [];
  const subnet = parseSubnet(rest);
  if (subnet === undefined) return undefined;
  const high = low === undefined ? undefined : rest.split('/')[0];
  const excluded = (entry.exclude ?? []).flatMap((text) => parseSubnet(text) ?? []);
  const bounds = { start: entry.range_start ?? low, end: entry.range_end ?? high };
  return { family: subnet.family, subnets: [subnet], addresses: countIn(subnet, bounds, excluded) };
};

const definedSets = (sets: readonly (RangeSet | undefined)[]): readonly RangeSet[] | undefined =>
  sets.length > 0 && sets.every((set) => set !== undefined) ? sets : undefined;

/** host-local takes a range beside the list as the first of it. */
const hostLocalSets = (config: unknown): readonly RangeSet[] | undefined => {
  const { data } = hostLocal.safeParse(config);
  if (data === undefined) return undefined;
  const { subnet, rangeStart, rangeEnd, gateway } = data;
  const own = subnet === undefined ? [] : [[{ subnet, rangeStart, rangeEnd, gateway }]];
  return definedSets([...own, ...(data.ranges ?? [])].map(hostLocalSet));
};

const whereaboutsSets = (config: unknown): readonly RangeSet[] | undefined => {
  const { data } = whereabouts.safeParse(config);
  if (data === undefined) return undefined;
  const { range, range_start, range_end, exclude } = data;
  const own = range === undefined ? [] : [{ range, range_start, range_end, exclude }];
  return definedSets([...own, ...(data.ipRanges ?? [])].map(whereaboutsSet));
};

type Plugins = z.output<typeof network>['plugins'];

const ipamOf = (plugins: Plugins): AttachmentConfig['ipam'] | undefined => {
  const holder = plugins.find((entry) => entry.ipam?.type !== undefined);
  const config = holder?.ipam;
  const type = config?.type;
  if (type === 'static') {
    const takesIps = holder?.capabilities?.['ips'] === true;
    return { kind: 'Static', takesIps, hasOwn: (config?.addresses ?? []).length > 0 };
  }
  if (type !== 'host-local' && type !== 'whereabouts') return { kind: 'Other', type: type ?? 'none' };
  const sets = type === 'host-local' ? hostLocalSets(config) : whereaboutsSets(config);
  return sets === undefined ? undefined : { kind: 'Ranges', type, sets };
};

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};

/** undefined for a configuration that cannot be read here: no JSON, no plugin, or ranges that are none. */
export const parseAttachmentConfig = (text: string): AttachmentConfig | undefined => {
  const { data } = network.safeParse(jsonOf(text));
  const found = data === undefined ? undefined : ipamOf(data.plugins);
  if (data === undefined || found === undefined) return undefined;
  const routes = data.plugins.flatMap(({ ipam: config }) => config?.routes ?? []);
  return {
    ipam: found,
    routes: routes.flatMap(({ dst }) => parseSubnet(dst) ?? []),
    routesBySource: data.plugins.some(({ type }) => type === 'sbr'),
  };
};
