import { X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  caBundleOf,
  type CertificateSet,
  certificateSet,
  nextCertificateSet,
} from '../../src/webhook/certificate-set.ts';

const policy = {
  authorityValidMs: 100_000_000,
  authorityRenewMs: 50_000_000,
  serverValidMs: 40_000_000,
  serverRenewMs: 20_000_000,
  overlapMs: 1_000_000,
};
const startMs = Date.UTC(2026, 10, 23, 12);
const hosts = ['connectionbudget-webhook.system.svc', '127.0.0.1'];
const at = (afterMs: number) => ({ nowMs: startMs + afterMs, hosts, policy });
const first = nextCertificateSet(undefined, at(0));
const serverOf = (set: CertificateSet) => new X509Certificate(set.server.certificate);
const namesOf = (set: CertificateSet) => set.authorities.map(({ name }) => name);
const isTrusted = (server: X509Certificate, set: CertificateSet): boolean =>
  set.authorities.some(({ certificate }) => {
    const authority = new X509Certificate(certificate);
    return server.checkIssued(authority) && server.verify(authority.publicKey);
  });

test('a server certificate is for its hosts, by an authority, for servers only, and valid as long as planned', () => {
  const certificate = serverOf(first);
  const authority = new X509Certificate(first.authorities[0]!.certificate);

  expect(certificate.subjectAltName).toBe('DNS:connectionbudget-webhook.system.svc, IP Address:127.0.0.1');
  expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  expect([certificate.ca, authority.ca]).toEqual([false, true]);
  expect(isTrusted(certificate, first)).toBe(true);
  expect(certificate.validToDate.getTime()).toBe(startMs + policy.serverValidMs);
  expect(certificate.validFromDate.getTime()).toBe(startMs - 3_600_000);
});

test('a set that needs nothing is the very same value', () => {
  expect(nextCertificateSet(first, at(policy.serverRenewMs - 1))).toBe(first);
});

test('a certificate is renewed by the same authority', () => {
  const renewed = nextCertificateSet(first, at(policy.serverRenewMs));

  expect(renewed.server.certificate).not.toBe(first.server.certificate);
  expect(namesOf(renewed)).toEqual(namesOf(first));
});

test('an authority is exchanged in three steps, and each step trusts what the step before served', () => {
  const { authorityRenewMs: due, overlapMs } = policy;
  const announced = nextCertificateSet(first, at(due));
  const early = nextCertificateSet(announced, at(due + overlapMs - 1));
  const issued = nextCertificateSet(early, at(due + overlapMs));
  const done = nextCertificateSet(issued, at(due + 2 * overlapMs));

  expect(namesOf(announced)).toHaveLength(2);
  expect(announced.server.issuer).toBe(namesOf(first)[0]);
  expect(early).toBe(announced);
  expect(issued.server.issuer).toBe(namesOf(announced)[1]);
  expect(namesOf(issued)).toEqual(namesOf(announced));
  expect(namesOf(done)).toEqual([namesOf(announced)[1]]);
  expect(isTrusted(serverOf(announced), issued)).toBe(true);
  expect(isTrusted(serverOf(issued), announced)).toBe(true);
  expect(isTrusted(serverOf(issued), first)).toBe(false);
});

test('an installation that slept through its authority starts afresh', () => {
  const fresh = nextCertificateSet(first, at(policy.authorityValidMs));

  expect(namesOf(fresh)).not.toContain(namesOf(first)[0]);
  expect(isTrusted(serverOf(fresh), fresh)).toBe(true);
});

test('other hosts are another certificate', () => {
  const moved = nextCertificateSet(first, { ...at(1), hosts: ['other.system.svc'] });

  expect(serverOf(moved).subjectAltName).toBe('DNS:other.system.svc');
});

test('dates after 2049 are written with four digits of the year', () => {
  const late = nextCertificateSet(undefined, { ...at(0), nowMs: Date.UTC(2055, 0, 1) });

  expect(serverOf(late).validToDate.getTime()).toBe(Date.UTC(2055, 0, 1) + policy.serverValidMs);
});

test('the bundle is every authority in PEM, in base64', () => {
  const both = nextCertificateSet(first, at(policy.authorityRenewMs));
  const pem = Buffer.from(caBundleOf(both), 'base64').toString('utf8');

  expect(pem).toBe(both.authorities.map(({ certificate }) => certificate).join(''));
});

test('a document with a damaged certificate, or the key of another, is none', () => {
  const { authorities, server } = first;
  const damaged = { ...server, certificate: server.certificate.replaceAll('M', 'N') };
  const foreign = { ...server, privateKey: authorities[0]?.privateKey };
  const read = [server, damaged, foreign].map((one) => certificateSet.safeParse({ authorities, server: one }).success);
  expect(read).toEqual([true, false, false]);
});
