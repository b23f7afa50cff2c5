import { KubeConfig } from '@kubernetes/client-node';

export type { KubeConfig } from '@kubernetes/client-node';

/** Where a pod finds its API server: the service's environment and the mounted service account. */
export interface InClusterLocation {
  readonly host: string;
  readonly port: number;
  /** The directory that holds `ca.crt` and `token`. */
  readonly serviceAccountDirectory?: string;
}

const defaultServiceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Throws what client-node throws when the file is missing or is no kubeconfig. */
export function readKubeConfig(file: string, context?: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(file);
  if (context === undefined) return config;
  if (config.getContextObject(context) === null) throw new Error(`${file} has no context "${context}"`);
  config.setCurrentContext(context);
  return config;
}

export function inClusterKubeConfig(location: InClusterLocation): KubeConfig {
  const directory = location.serviceAccountDirectory ?? defaultServiceAccountDirectory;
  const host = location.host.includes(':') ? `[${location.host}]` : location.host;
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    {
      name: 'in-cluster',
      server: `https://${host}:${location.port}`,
      caFile: `${directory}/ca.crt`,
      skipTLSVerify: false,
    },
    { name: 'in-cluster', authProvider: { name: 'tokenFile', config: { tokenFile: `${directory}/token` } } },
  );
  return config;
}
