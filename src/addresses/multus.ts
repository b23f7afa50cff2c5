import type { AttachmentOffer, AttachmentRefusal } from '../api/demand.ts';
import type { ConnectionBudgetSpec } from '../api/connection-budget.ts';
import type { IpFamily } from '../planner/demand.ts';
import {
  type AttachmentConfig,
  holdsAddress,
  parseAttachmentConfig,
  parseSubnet,
  type RangeSet,
} from './attachment-config.ts';

/** Provider Multus: what a NetworkAttachmentDefinition can give to a pod, and the attachments that ask for it. */

/** A NetworkAttachmentDefinition as far as it is read; config is its spec.config. */
export interface Attachment {
  readonly namespace: string;
  readonly name: string;
  readonly config: string;
}

/** "net-a" is in the pod's namespace, "edge/net-a" in its own. */
export const attachmentKey = (reference: string, podNamespace: string): string =>
  reference.includes('/') ? reference : `${podNamespace}/${reference}`;

export interface AttachmentNeeds {
  readonly spec: ConnectionBudgetSpec;
  /** Addresses that the user gave this pod (annotation connectionbudget.io/source-ips), for IPAM static. */
  readonly given: readonly string[];
}

const refused = (reason: AttachmentRefusal, message: string): AttachmentOffer => ({
  most: 0,
  refusal: { reason, message },
});

const destinationsOf = ({ outbound }: ConnectionBudgetSpec): readonly string[] =>
  outbound.flatMap(({ destination }) => destination.addresses?.ips ?? []);

const familyOf = (ip: string): IpFamily => (ip.includes(':') ? 'IPv6' : 'IPv4');

const familiesOf = (ips: readonly string[]): readonly IpFamily[] => [...new Set(ips.map(familyOf))];

/** The families that destinations have; where they say nothing, those of the attachment. */
const neededFamilies = (spec: ConnectionBudgetSpec, offered: readonly IpFamily[]): readonly IpFamily[] => {
  const known = familiesOf(destinationsOf(spec));
  return known.length === 0 ? offered : known;
};

const setsOf = (sets: readonly RangeSet[], family: IpFamily): readonly RangeSet[] =>
  sets.filter((set) => set.family === family);

/** What the pod reaches over the attachment without sbr. */
const linksOf = ({ ipam, routes }: AttachmentConfig, given: readonly string[]) => [
  ...routes,
  ...(ipam.kind === 'Ranges' ? ipam.sets.flatMap(({ subnets }) => subnets) : []),
  ...given.flatMap((text) => parseSubnet(text) ?? []),
];

const listed = (names: readonly string[]): string =>
  names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;

/** Destinations that would be left over the pod's first interface with a source address that is foreign there. */
const offLink = (config: AttachmentConfig, { spec, given }: AttachmentNeeds): readonly string[] => {
  const links = linksOf(config, given);
  const hasDefault = config.routes.some(({ first, last }) => first === 0n && last >= 0xffff_ffffn);
  const unlisted = spec.outbound.filter(({ destination }) => destination.addresses === undefined);
  return [
    ...destinationsOf(spec).filter((ip) => !links.some((link) => holdsAddress(link, ip))),
    ...(hasDefault ? [] : unlisted.map(({ name }) => `those of flow ${name}`)),
  ];
};

const offLinkRefusal = (key: string, destinations: readonly string[]): AttachmentOffer =>
  refused(
    'AttachmentNotUsable',
    `Attachment ${key} has no route to ${listed(destinations)}: chain the CNI plugin sbr in it, or add routes to its IPAM, so that what is bound to its addresses leaves over it`,
  );

const rangesOffer = (key: string, sets: readonly RangeSet[], spec: ConnectionBudgetSpec): AttachmentOffer => {
  const families = neededFamilies(spec, [...new Set(sets.map(({ family }) => family))]);
  const missing = families.find((family) => setsOf(sets, family).length === 0);
  if (missing !== undefined)
    return refused('AttachmentNotUsable', `Attachment ${key} has no ${missing} range, which the destinations need`);
  const attachments = Math.min(...sets.map(({ addresses }) => addresses));
  if (attachments < 1) return refused('AttachmentNotUsable', `Attachment ${key} has a range without any address`);
  return { most: attachments * Math.min(...families.map((family) => setsOf(sets, family).length)) };
};

const staticOffer = (key: string, config: AttachmentConfig, { spec, given }: AttachmentNeeds): AttachmentOffer => {
  if (config.ipam.kind !== 'Static' || !config.ipam.takesIps)
    return refused('AttachmentNotUsable', `Attachment ${key} has IPAM static without "capabilities": {"ips": true}`);
  if (config.ipam.hasOwn)
    return refused('AttachmentNotUsable', `Attachment ${key} has addresses of its own: each pod would have the same`);
  const wrong = given.find((text) => !text.includes('/') || parseSubnet(text) === undefined);
  if (wrong !== undefined)
    return refused(
      'AttachmentNotUsable',
      `Annotation connectionbudget.io/source-ips has "${wrong}": must be an address with its prefix length`,
    );
  const families = neededFamilies(spec, familiesOf(given));
  const most = Math.min(...families.map((family) => given.filter((ip) => familyOf(ip) === family).length));
  if (given.length > 0 && most > 0) return { most };
  return refused(
    'AttachmentNotUsable',
    `Attachment ${key} has IPAM static: give each pod its addresses in annotation connectionbudget.io/source-ips`,
  );
};

const usableOffer = (key: string, config: AttachmentConfig, needs: AttachmentNeeds): AttachmentOffer => {
  const { ipam } = config;
  if (ipam.kind === 'Other')
    return refused(
      'AttachmentNotUsable',
      `Attachment ${key} has IPAM ${ipam.type}, which is not known to hand out more: use host-local, whereabouts or static`,
    );
  const offer = ipam.kind === 'Ranges' ? rangesOffer(key, ipam.sets, needs.spec) : staticOffer(key, config, needs);
  const away = config.routesBySource ? [] : offLink(config, needs);
  return offer.refusal === undefined && away.length > 0 ? offLinkRefusal(key, away) : offer;
};

/** The most extra addresses of each family that a pod can have of an attachment, or why it can have none. */
export const attachmentOffer = (
  key: string,
  attachment: Attachment | undefined,
  needs: AttachmentNeeds,
): AttachmentOffer => {
  if (attachment === undefined)
    return refused('AttachmentNotFound', `NetworkAttachmentDefinition ${key} does not exist`);
  const config = parseAttachmentConfig(attachment.config);
  return config === undefined
    ? refused('AttachmentNotUsable', `Attachment ${key} has no CNI configuration in spec.config that can be read`)
    : usableOffer(key, config, needs);
};

/** One element of annotation k8s.v1.cni.cncf.io/networks that asks Multus for an interface; `interface` is ours to name. */
export interface AttachmentRequest {
  readonly name: string;
  readonly namespace: string;
  readonly ips?: readonly string[];
}

const timesFor = (sets: readonly RangeSet[], extra: number, spec: ConnectionBudgetSpec): number => {
  const families = neededFamilies(spec, [...new Set(sets.map(({ family }) => family))]);
  return Math.ceil(extra / Math.max(1, Math.min(...families.map((family) => setsOf(sets, family).length))));
};

/**
 * What a pod asks Multus for to get so many extra addresses, of an attachment whose offer covers them. IPAM static takes them
 * in `ips`, on one interface; host-local and whereabouts give one of each range to an interface: 8 addresses are one
 * attachment of 8 range sets, or 8 of one.
 */
export const attachmentRequests = (
  attachment: Attachment,
  extra: number,
  { spec, given }: AttachmentNeeds,
): readonly AttachmentRequest[] => {
  const config = parseAttachmentConfig(attachment.config);
  const { name, namespace } = attachment;
  if (config === undefined || extra === 0 || config.ipam.kind === 'Other') return [];
  if (config.ipam.kind === 'Ranges')
    return Array.from({ length: timesFor(config.ipam.sets, extra, spec) }, () => ({ name, namespace }));
  const ips = familiesOf(given).flatMap((family) => given.filter((ip) => familyOf(ip) === family).slice(0, extra));
  return [{ name, namespace, ips }];
};
