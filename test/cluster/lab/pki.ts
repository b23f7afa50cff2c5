import { generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { run } from './command.ts';

/** PEM files of one certificate and its private key. */
export type Certificate = { readonly certificateFile: string; readonly keyFile: string };

/** A certificate authority of this cluster; everything that it issues lies in its folder. */
export type Authority = Certificate & { readonly dir: string };

export type CertificateRequest = {
  /** The file name, without ending, within the authority's folder. */
  readonly name: string;
  readonly commonName: string;
  readonly organization?: string;
  readonly usage: 'Server' | 'Client';
  /** DNS names and IP addresses that a server's certificate is for. */
  readonly hosts?: readonly string[];
};

const authorityExtensions = 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign';
const validDays = '3650';

export async function createAuthority(dir: string, commonName: string, signal: AbortSignal): Promise<Authority> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const files = certificateFiles(dir, 'ca');
  const subject = `/CN=${commonName}`;
  await makeCertificate(files, { subject, extensions: authorityExtensions, signing: [] }, signal);
  return { dir, ...files };
}

/** Issues the certificate, or gives the one that this authority issued under that name before. */
export async function issueCertificate(
  authority: Authority,
  request: CertificateRequest,
  signal: AbortSignal,
): Promise<Certificate> {
  const files = certificateFiles(authority.dir, request.name);
  const organization = request.organization === undefined ? '' : `/O=${request.organization}`;
  const signing = ['-CA', authority.certificateFile, '-CAkey', authority.keyFile];
  const subject = `${organization}/CN=${request.commonName}`;
  await makeCertificate(files, { subject, extensions: leafExtensions(request), signing }, signal);
  return files;
}

/** The key pair that signs service account tokens (ES256). */
export async function createTokenKeys(dir: string): Promise<{ readonly publicFile: string; readonly keyFile: string }> {
  const files = { publicFile: join(dir, 'service-account.pub'), keyFile: join(dir, 'service-account.key') };
  if (existsSync(files.publicFile)) return files;
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeFile(files.keyFile, privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
  await writeFile(files.publicFile, publicKey.export({ type: 'spki', format: 'pem' }));
  return files;
}

type Signing = { readonly subject: string; readonly extensions: string; readonly signing: readonly string[] };

async function makeCertificate(files: Certificate, what: Signing, signal: AbortSignal): Promise<void> {
  if (existsSync(files.certificateFile)) return;
  const fresh = `${files.certificateFile}.new`;
  const config = `${files.certificateFile}.cnf`;
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-keyout', files.keyFile];
  const form = ['-x509', '-days', validDays, '-subj', what.subject, '-config', config, '-out', fresh];
  const sections = '[req]\ndistinguished_name=dn\nx509_extensions=extensions\n[dn]\n[extensions]\n';
  await writeFile(config, `${sections}${what.extensions}\n`);
  await run('openssl', ['req', ...form, ...key, ...what.signing], { signal });
  await rename(fresh, files.certificateFile);
}

function leafExtensions(request: CertificateRequest): string {
  const names = (request.hosts ?? []).map((host) => (isIP(host) === 0 ? `DNS:${host}` : `IP:${host}`));
  return [
    'basicConstraints=critical,CA:FALSE',
    'keyUsage=critical,digitalSignature,keyEncipherment',
    `extendedKeyUsage=${request.usage === 'Server' ? 'serverAuth' : 'clientAuth'}`,
    ...(names.length > 0 ? [`subjectAltName=${names.join(',')}`] : []),
  ].join('\n');
}

function certificateFiles(dir: string, name: string): Certificate {
  return { certificateFile: join(dir, `${name}.crt`), keyFile: join(dir, `${name}.key`) };
}
