import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fromServer } from './from-server.ts';

/** How the agent finds the API server: by the mounted service account, or (outside a cluster) by a kubeconfig. */
export type ApiLocation =
  | {
      readonly type: 'InCluster';
      readonly host: string;
      readonly port: number;
      readonly serviceAccountDirectory?: string;
    }
  | { readonly type: 'Kubeconfig'; readonly file: string };

/** Everything a request needs, as it is on disk now. */
export interface ApiEndpoint {
  readonly server: URL;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly token?: string;
}

const defaultDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Read before each use: the kubelet renews the token, and an administrator the authority, while we run. */
export function readApiEndpoint(location: ApiLocation): Promise<ApiEndpoint> {
  return location.type === 'InCluster' ? inCluster(location) : fromKubeconfig(location.file);
}

async function inCluster(location: ApiLocation & { readonly type: 'InCluster' }): Promise<ApiEndpoint> {
  const directory = location.serviceAccountDirectory ?? defaultDirectory;
  const [ca, token] = await Promise.all([
    readFile(`${directory}/ca.crt`, 'utf8'),
    readFile(`${directory}/token`, 'utf8'),
  ]);
  const host = location.host.includes(':') ? `[${location.host}]` : location.host;
  return { server: new URL(`https://${host}:${location.port}`), ca, token: token.trim() };
}

interface Named {
  readonly name?: string;
}
interface KubeconfigFile {
  readonly 'current-context'?: string;
  readonly contexts?: readonly (Named & { readonly context?: { readonly cluster?: string; readonly user?: string } })[];
  readonly clusters?: readonly (Named & { readonly cluster?: Readonly<Record<string, string>> })[];
  readonly users?: readonly (Named & { readonly user?: Readonly<Record<string, string>> })[];
}

/** Certificates and tokens only: no exec plugins and no proxies, which need the whole client. */
async function fromKubeconfig(file: string): Promise<ApiEndpoint> {
  // Loaded only here: in a cluster its 12 MiB are not needed.
  const { parse } = await import('yaml');
  const config = fromServer<KubeconfigFile>(parse(await readFile(file, 'utf8')));
  const context = named(config.contexts, config['current-context'])?.context;
  const cluster = named(config.clusters, context?.cluster)?.cluster ?? {};
  const user = named(config.users, context?.user)?.user ?? {};
  const server = cluster['server'];
  if (server === undefined) throw new Error(`${file} names no server for its current context`);
  const material = {
    ca: await dataOrFile(cluster, 'certificate-authority', file),
    cert: await dataOrFile(user, 'client-certificate', file),
    key: await dataOrFile(user, 'client-key', file),
    token: user['token'] ?? (await textOf(user['tokenFile'], file))?.trim(),
  };
  return {
    server: new URL(server),
    ...Object.fromEntries(Object.entries(material).filter(([, value]) => value !== undefined)),
  };
}

function named<T extends Named>(list: readonly T[] | undefined, name: string | undefined): T | undefined {
  return list?.find((entry) => entry.name === name);
}

async function dataOrFile(
  fields: Readonly<Record<string, string>>,
  name: string,
  kubeconfig: string,
): Promise<string | undefined> {
  const data = fields[`${name}-data`];
  return data === undefined ? textOf(fields[name], kubeconfig) : Buffer.from(data, 'base64').toString('utf8');
}

/** Paths in a kubeconfig are relative to its own directory. */
async function textOf(path: string | undefined, kubeconfig: string): Promise<string | undefined> {
  return path === undefined ? undefined : readFile(resolve(dirname(kubeconfig), path), 'utf8');
}
