import { readFile, rename, writeFile } from 'node:fs/promises';
import type { Authority, Certificate } from './pki.ts';

export type KubeconfigOptions = {
  readonly file: string;
  readonly server: string;
  readonly authority: Authority;
  readonly client: Certificate;
};

/** Writes a kubeconfig that needs no other file. It is JSON, which is YAML. */
export async function writeKubeconfig(options: KubeconfigOptions): Promise<string> {
  const name = 'connection-budget-test';
  const cluster = {
    server: options.server,
    'certificate-authority-data': await base64(options.authority.certificateFile),
  };
  const user = {
    'client-certificate-data': await base64(options.client.certificateFile),
    'client-key-data': await base64(options.client.keyFile),
  };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  };
  await writeFile(`${options.file}.new`, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 });
  await rename(`${options.file}.new`, options.file);
  return options.file;
}

function base64(file: string): Promise<string> {
  return readFile(file, 'base64');
}
