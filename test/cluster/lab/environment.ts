import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where everything that is built or run is kept: outside the checkout, shared by all checkouts of this user. */
export function cacheDirectory(): string {
  const base = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return join(base, 'connection-budget');
}

/** The directory of ready etcd, kube-apiserver and kubectl that envtest users have, if any. */
export function prebuiltAssetsDirectory(): string | undefined {
  const directory = process.env['KUBEBUILDER_ASSETS'];
  return directory === undefined || directory === '' ? undefined : directory;
}
