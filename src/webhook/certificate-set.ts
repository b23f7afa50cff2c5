import { createPrivateKey, randomUUID, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { type CertificateAndKey, createAuthority, issueServerCertificate } from './x509.ts';

/** The webhook's authorities, oldest first, and the server certificate of the one that is in use. */

/** A document that was damaged is as one that is missing: another is made, and no replica waits for somebody to mend it. */
const isPair = ({ certificate, privateKey }: CertificateAndKey): boolean => {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(privateKey));
  } catch {
    return false;
  }
};

const authority = z
  .object({
    name: z.string().min(1),
    certificate: z.string().min(1),
    privateKey: z.string().min(1),
    createdAtMs: z.int(),
  })
  .refine(isPair);
type Authority = z.output<typeof authority>;

export const certificateSet = z.object({
  authorities: z.array(authority).min(1).max(8),
  server: z
    .object({
      issuer: z.string(),
      hosts: z.array(z.string()),
      certificate: z.string().min(1),
      privateKey: z.string().min(1),
      createdAtMs: z.int(),
    })
    .refine(isPair),
});
export type CertificateSet = z.output<typeof certificateSet>;

export interface CertificatePolicy {
  readonly authorityValidMs: number;
  readonly authorityRenewMs: number;
  readonly serverValidMs: number;
  readonly serverRenewMs: number;
  /** How long everybody is given to learn of a change: API servers of a new authority, replicas of a new certificate. */
  readonly overlapMs: number;
}

const dayMs = 86_400_000;
export const defaultCertificatePolicy: CertificatePolicy = {
  authorityValidMs: 730 * dayMs,
  authorityRenewMs: 365 * dayMs,
  serverValidMs: 90 * dayMs,
  serverRenewMs: 45 * dayMs,
  overlapMs: 600_000,
};

/** For clocks that are behind ours. */
const allowedSkewMs = 3_600_000;

interface Moment {
  readonly nowMs: number;
  readonly hosts: readonly string[];
  readonly policy: CertificatePolicy;
}

const newAuthority = ({ nowMs, policy }: Moment): Authority => {
  const name = `connectionbudget-webhook-${randomUUID()}`;
  const validity = { notBeforeMs: nowMs - allowedSkewMs, notAfterMs: nowMs + policy.authorityValidMs };
  return { name, createdAtMs: nowMs, ...createAuthority(name, validity) };
};

const newServer = (issuer: Authority, { nowMs, hosts, policy }: Moment): CertificateSet['server'] => {
  const spki = new X509Certificate(issuer.certificate).publicKey.export({ type: 'spki', format: 'der' });
  const issued = issueServerCertificate({
    authority: { ...issuer, commonName: issuer.name, spki },
    hosts,
    validity: {
      notBeforeMs: nowMs - allowedSkewMs,
      notAfterMs: Math.min(nowMs + policy.serverValidMs, issuer.createdAtMs + policy.authorityValidMs),
    },
  });
  return { issuer: issuer.name, hosts: [...hosts], createdAtMs: nowMs, ...issued };
};

const freshSet = (moment: Moment): CertificateSet => {
  const first = newAuthority(moment);
  return { authorities: [first], server: newServer(first, moment) };
};

/** A new authority is known everywhere before it issues; until then the one before goes on. */
const issuerOf = (authorities: readonly Authority[], { nowMs, policy }: Moment): Authority | undefined =>
  authorities.findLast(({ createdAtMs }) => createdAtMs + policy.overlapMs <= nowMs) ?? authorities[0];

const isCurrent = (server: CertificateSet['server'], issuer: Authority, { nowMs, hosts, policy }: Moment): boolean =>
  server.issuer === issuer.name &&
  server.createdAtMs + policy.serverRenewMs > nowMs &&
  server.hosts.join() === hosts.join();

/**
 * The set as it should be now; the same value where it is. A rotation takes three steps, each `overlapMs` apart:
 *
 *   authorities | old     | old, new | old, new | new
 *   issued by   | old     | old      | new      | new
 */
export const nextCertificateSet = (set: CertificateSet | undefined, moment: Moment): CertificateSet => {
  const { nowMs, policy } = moment;
  const newest = set?.authorities.at(-1);
  if (set === undefined || newest === undefined || newest.createdAtMs + policy.authorityValidMs <= nowMs) {
    return freshSet(moment);
  }
  const isDue = newest.createdAtMs + policy.authorityRenewMs <= nowMs;
  const authorities = isDue ? [...set.authorities, newAuthority(moment)] : set.authorities;
  const issuer = issuerOf(authorities, moment) ?? newest;
  const server = isCurrent(set.server, issuer, moment) ? set.server : newServer(issuer, moment);
  const isKnown = server.createdAtMs + policy.overlapMs <= nowMs;
  const kept = isKnown ? authorities.slice(authorities.indexOf(issuer)) : authorities;
  const isSame = kept.length === set.authorities.length && !isDue && server === set.server;
  return isSame ? set : { authorities: kept, server };
};

/** What API servers trust: all authorities, PEM in base64. */
export const caBundleOf = ({ authorities }: CertificateSet): string =>
  Buffer.from(authorities.map(({ certificate }) => certificate).join('')).toString('base64');
