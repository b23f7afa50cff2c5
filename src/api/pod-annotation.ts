import { z } from 'zod';
import { createHash } from 'node:crypto';

/**
 * Annotation connectionbudget.io/plan: what the webhook tells the agent, JSON of at most 8 KiB, signed with Ed25519 over
 * its content and the namespace. The same pod gives the same bytes: no time stamp, keys in a fixed order.
 */
export const longestAnnotation = 8192;

/** 16 inbound and 16 outbound ones. */
export const mostFlows = 32;

/** A write to a file of /proc/sys is at most one page, and one byte ends it (fs/proc/proc_sysctl.c). */
export const longestSysctl = 4095;

const limits = z.strictObject({ name: z.string().max(63), soft: z.int().min(1), hard: z.int().min(1) });

const planSection = z.strictObject({
  version: z.literal(1),
  keyId: z.string().min(1).max(64),
  budget: z.strictObject({ name: z.string().min(1).max(253), uid: z.string().max(64), generation: z.int().min(0) }),
  containers: z.array(limits).max(64),
  /** What the agent sets in the pod's namespace. */
  sysctls: z.record(z.string().regex(/^net(\.[a-z0-9_]+)+$/), z.string().max(longestSysctl)),
  portRange: z.strictObject({ low: z.int(), high: z.int() }),
  reservedPorts: z.array(z.int()).max(256),
  sourceAddresses: z.strictObject({
    provider: z.enum(['None', 'PodNetwork', 'Multus']),
    extra: z.int().min(0).max(32),
    spread: z.enum(['Transparent', 'Application']),
    /** Who picks the ports; absent: the kernel, or the program. */
    ports: z.literal('Spread').optional(),
  }),
  flows: z
    .array(
      z.strictObject({
        name: z.string().max(63),
        direction: z.enum(['Inbound', 'Outbound']),
        port: z.int().min(0).max(65535),
        targets: z.array(z.string().max(320)).max(16),
      }),
    )
    .max(mostFlows),
});
export type PlanSection = z.output<typeof planSection>;

const signedPlan = planSection.extend({ signature: z.string().min(1).max(128) });

/** The bytes that are signed: domain, namespace and section, so that a plan of one namespace is none in another. */
export const signedBytes = (section: PlanSection, namespace: string): Buffer =>
  Buffer.from(`connectionbudget.io/plan/v1\n${namespace}\n${JSON.stringify(section)}`);

export const encodeAnnotation = (section: PlanSection, signature: Buffer): string =>
  JSON.stringify({ ...section, signature: signature.toString('base64') });

/** What the agent applies of a plan: limits and sysctls. */
export type AppliedSection = Pick<
  PlanSection,
  'containers' | 'sysctls' | 'portRange' | 'reservedPorts' | 'sourceAddresses'
>;

export const appliedOf = ({
  containers,
  sysctls,
  portRange,
  reservedPorts,
  sourceAddresses,
}: PlanSection): AppliedSection => ({ containers, sysctls, portRange, reservedPorts, sourceAddresses });

/**
 * What the agent applies of a plan, hashed. Two budgets' generations with an equal hash need no new
 * pod. 16 hex digits.
 */
export const sectionHash = ({
  containers,
  sysctls,
  portRange,
  reservedPorts,
  sourceAddresses,
}: PlanSection): string => {
  const ordered = Object.entries(sysctls).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const applied = JSON.stringify([containers, ordered, portRange, reservedPorts, sourceAddresses]);
  return createHash('sha256').update(applied).digest('hex').slice(0, 16);
};

/** Sysctls that are planned as minimums: the kernel is served as well by a higher value. */
const minimumSysctls: ReadonlySet<string> = new Set([
  'net.core.somaxconn',
  'net.ipv4.tcp_max_syn_backlog',
  'net.ipv4.tcp_max_tw_buckets',
]);
const reservedPortsSysctl = 'net.ipv4.ip_local_reserved_ports';

const contains = <T>(all: readonly T[], some: readonly T[]): boolean => {
  const known = new Set(all);
  return some.every((one) => known.has(one));
};

/** A missing value is covered where a larger one would be: without a plan, none is needed. */
const sysctlCovers = (name: string, carried: string | undefined, planned: string | undefined): boolean => {
  if (carried === planned) return true;
  if (carried === undefined) return false;
  if (minimumSysctls.has(name)) return Number(carried) >= Number(planned ?? 0);
  return name === reservedPortsSysctl && contains(carried.split(','), planned?.split(',') ?? []);
};

const limitsCover = (carried: AppliedSection['containers'], planned: AppliedSection['containers']): boolean =>
  carried.length === planned.length &&
  planned.every(({ name, soft, hard }) =>
    carried.some((limit) => limit.name === name && limit.soft >= soft && limit.hard >= hard),
  );

/**
 * Whether a pod that carries one plan has all that another asks for: limits and minimums at least as high, at least as many
 * ports and addresses, everything else equal. It depends on no order of lists.
 */
export const covers = (carried: AppliedSection, planned: AppliedSection): boolean => {
  const names = new Set([...Object.keys(carried.sysctls), ...Object.keys(planned.sysctls)]);
  const { provider, extra, spread, ports } = planned.sourceAddresses;
  return (
    limitsCover(carried.containers, planned.containers) &&
    [...names].every((name) => sysctlCovers(name, carried.sysctls[name], planned.sysctls[name])) &&
    carried.portRange.low <= planned.portRange.low &&
    carried.portRange.high >= planned.portRange.high &&
    contains(carried.reservedPorts, planned.reservedPorts) &&
    carried.sourceAddresses.provider === provider &&
    carried.sourceAddresses.extra >= extra &&
    carried.sourceAddresses.spread === spread &&
    (ports === undefined || carried.sourceAddresses.ports === ports)
  );
};

export type AnnotationFault = 'TooLarge' | 'NotJson' | 'Malformed';

export type DecodedAnnotation =
  { readonly section: PlanSection; readonly signature: Buffer } | { readonly fault: AnnotationFault };

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};

/** Decodes without judging the signature. Never throws, whatever is in the annotation. */
export const decodeAnnotation = (text: string): DecodedAnnotation => {
  if (Buffer.byteLength(text) > longestAnnotation) return { fault: 'TooLarge' };
  const json = jsonOf(text);
  if (json === undefined) return { fault: 'NotJson' };
  const parsed = signedPlan.safeParse(json);
  if (!parsed.success) return { fault: 'Malformed' };
  const { signature, ...section } = parsed.data;
  return { section, signature: Buffer.from(signature, 'base64') };
};
