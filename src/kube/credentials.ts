import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { fromServer } from './from-server.ts';
import type { KubeConfig } from './kube-config.ts';
import { KubeError } from './kube-error.ts';

/** What one connection needs; two of them are the same connection pool when `tlsKey` is equal. */
export interface Credentials {
  readonly tls: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly rejectUnauthorized?: boolean;
    readonly servername?: string;
  };
  readonly tlsKey: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface CredentialSource {
  readonly server: URL;
  readonly read: () => Promise<Credentials>;
  /** The server said Unauthorized: what is cached is worth nothing, read again at the next call. */
  readonly invalidate: () => void;
}

/** Kubelets renew a projected token at 80 % of its life (an hour by default), so a minute late is early enough. */
const maximumAgeMs = 60_000;

/** Authentication as the kubeconfig says: certificates, token, token file, exec plugin, user name and password. */
export function credentialSource(config: KubeConfig): CredentialSource {
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error('the kubeconfig has no current cluster');
  let cached: { readonly credentials: Promise<Credentials>; readonly readAtMs: number } | undefined;
  const read = (): Promise<Credentials> => {
    if (cached !== undefined && performance.now() - cached.readAtMs < maximumAgeMs) return cached.credentials;
    const credentials = readCredentials(config);
    cached = { credentials, readAtMs: performance.now() };
    credentials.catch(() => (cached = undefined));
    return credentials;
  };
  return { server: new URL(cluster.server), read, invalidate: () => (cached = undefined) };
}

async function readCredentials(config: KubeConfig): Promise<Credentials> {
  try {
    return await materialOf(config);
  } catch (cause) {
    throw new KubeError('the credentials cannot be read', { kind: 'Unauthorized', cause });
  }
}

async function materialOf(config: KubeConfig): Promise<Credentials> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const { rejectUnauthorized, servername } = options;
  const material = {
    ca: pem(options.ca),
    cert: pem(options.cert),
    key: pem(options.key),
    rejectUnauthorized,
    servername,
  };
  const tls: Credentials['tls'] = Object.fromEntries(
    Object.entries(material).filter(([, value]) => value !== undefined),
  );
  return { tls, tlsKey: JSON.stringify(tls), headers: await headersFor(config, options) };
}

function pem(material: unknown): string | undefined {
  return Buffer.isBuffer(material) ? material.toString('utf8') : typeof material === 'string' ? material : undefined;
}

async function headersFor(config: KubeConfig, options: RequestOptions): Promise<Readonly<Record<string, string>>> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value);
  if (typeof options.auth === 'string') {
    headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  }
  // client-node keeps a file's token for a minute even after the server refused it.
  const tokenFile = tokenFileOf(config);
  if (tokenFile !== undefined) headers['authorization'] = `Bearer ${(await readFile(tokenFile, 'utf8')).trim()}`;
  return headers;
}

function tokenFileOf(config: KubeConfig): string | undefined {
  const user = fromServer<{ readonly authProvider?: { readonly config?: { readonly tokenFile?: unknown } } } | null>(
    config.getCurrentUser(),
  );
  const tokenFile = user?.authProvider?.config?.tokenFile;
  return typeof tokenFile === 'string' ? tokenFile : undefined;
}
