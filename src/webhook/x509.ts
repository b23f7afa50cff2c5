import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';
import {
  bitString,
  implicit,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  set,
  tagged,
  time,
  truth,
  utf8String,
} from './der.ts';

/** X.509 v3 certificates with ECDSA P-256 (RFC 5280): an authority, and the one server certificate that it issues. */

export interface CertificateAndKey {
  /** PEM. */
  readonly certificate: string;
  readonly privateKey: string;
}

interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const ecdsaWithSha256 = sequence(objectIdentifier('1.2.840.10045.4.3.2'));

const nameOf = (commonName: string): Buffer =>
  sequence(set(sequence(objectIdentifier('2.5.4.3'), utf8String(commonName))));

const extension = (id: string, value: Buffer, critical: boolean): Buffer =>
  sequence(objectIdentifier(id), ...(critical ? [truth()] : []), octetString(value));

const keyIdentifier = (spki: Buffer): Buffer => createHash('sha256').update(spki).digest().subarray(0, 20);

/** keyUsage bits count from the left: digitalSignature 0, keyCertSign 5. */
const keyUsage = (bit: number): Buffer => extension('2.5.29.15', bitString(Buffer.from([0x80 >> bit]), 7 - bit), true);
const subjectKey = (spki: Buffer): Buffer => extension('2.5.29.14', octetString(keyIdentifier(spki)), false);
const issuerKey = (spki: Buffer): Buffer => extension('2.5.29.35', sequence(implicit(0, keyIdentifier(spki))), false);
const basicConstraints = (...content: readonly Buffer[]): Buffer => extension('2.5.29.19', sequence(...content), true);

/** dNSName is [2], iPAddress [7]. */
const alternativeNames = (hosts: readonly string[]): Buffer => {
  const names = hosts.map((host) =>
    isIPv4(host) ? implicit(7, Buffer.from(host.split('.').map(Number))) : implicit(2, Buffer.from(host)),
  );
  return extension('2.5.29.17', sequence(...names), false);
};

interface Contents {
  readonly issuer: string;
  readonly subject: string;
  readonly validity: Validity;
  readonly spki: Buffer;
  readonly extensions: readonly Buffer[];
}

/** A serial number of 127 random bits: positive, and no two alike. */
const newSerial = (): Buffer => {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial;
};

const signedCertificate = ({ issuer, subject, validity, spki, extensions }: Contents, signer: KeyObject): string => {
  const toBeSigned = sequence(
    tagged(0, integer(Buffer.from([2]))),
    integer(newSerial()),
    ecdsaWithSha256,
    nameOf(issuer),
    sequence(time(validity.notBeforeMs), time(validity.notAfterMs)),
    nameOf(subject),
    spki,
    tagged(3, sequence(...extensions)),
  );
  const certificate = sequence(toBeSigned, ecdsaWithSha256, bitString(sign('sha256', toBeSigned, signer)));
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
};

const newKeyPair = (): { readonly spki: Buffer; readonly key: KeyObject; readonly pem: string } => {
  const { publicKey, privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = key.export({ type: 'pkcs8', format: 'pem' });
  return { spki: publicKey.export({ type: 'spki', format: 'der' }), key, pem: pem.toString() };
};

export const createAuthority = (commonName: string, validity: Validity): CertificateAndKey => {
  const { spki, key, pem } = newKeyPair();
  const extensions = [basicConstraints(truth()), keyUsage(5), subjectKey(spki)];
  const contents = { issuer: commonName, subject: commonName, validity, spki, extensions };
  return { certificate: signedCertificate(contents, key), privateKey: pem };
};

export interface ServerCertificateRequest {
  readonly authority: CertificateAndKey & { readonly commonName: string; readonly spki: Buffer };
  /** DNS names and IPv4 addresses. */
  readonly hosts: readonly string[];
  readonly validity: Validity;
}

export const issueServerCertificate = ({ authority, hosts, validity }: ServerCertificateRequest): CertificateAndKey => {
  const { spki, pem } = newKeyPair();
  const serverAuthentication = sequence(objectIdentifier('1.3.6.1.5.5.7.3.1'));
  const extensions = [
    basicConstraints(),
    keyUsage(0),
    extension('2.5.29.37', serverAuthentication, false),
    subjectKey(spki),
    issuerKey(authority.spki),
    alternativeNames(hosts),
  ];
  const contents = { issuer: authority.commonName, subject: 'connectionbudget-webhook', validity, spki, extensions };
  return { certificate: signedCertificate(contents, createPrivateKey(authority.privateKey)), privateKey: pem };
};
