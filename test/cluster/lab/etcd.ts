import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { assertRunning, startDaemon, type DaemonSpec } from './process.ts';
import { waitFor } from './wait.ts';

export type EtcdOptions = {
  readonly dir: string;
  readonly file: string;
  readonly ports: { readonly client: number; readonly peer: number };
  readonly lifetime: DaemonSpec['lifetime'];
  readonly signal: AbortSignal;
};

/** Starts etcd on loopback without syncing to disk (a test's data need not survive the machine) and gives its URL. */
export async function startEtcd(options: EtcdOptions): Promise<string> {
  const client = `http://127.0.0.1:${options.ports.client}`;
  const peer = `http://127.0.0.1:${options.ports.peer}`;
  const dataDir = join(options.dir, 'etcd');
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const urls = [
    ['--listen-client-urls', '--advertise-client-urls'].map((flag) => `${flag}=${client}`),
    ['--listen-peer-urls', '--initial-advertise-peer-urls'].map((flag) => `${flag}=${peer}`),
  ].flat();
  const cluster = ['--name=test', `--initial-cluster=test=${peer}`, `--data-dir=${dataDir}`];
  const args = [...cluster, ...urls, '--log-level=warn', '--unsafe-no-fsync'];
  await startDaemon(options.dir, { name: 'etcd', file: options.file, args, lifetime: options.lifetime });
  await waitFor('etcd is healthy', () => isHealthy(options, client), { signal: options.signal, timeoutMs: 30_000 });
  return client;
}

async function isHealthy(options: EtcdOptions, url: string): Promise<boolean> {
  assertRunning(options.dir, 'etcd');
  const response = await fetch(`${url}/health`, { signal: options.signal });
  return response.ok;
}
