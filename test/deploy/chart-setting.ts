import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { installNamespace, renderChart } from '../../deploy/render-chart.ts';
import { ensureComponents } from '../cluster/lab/build.ts';

/** A Kubernetes object as a manifest has it; what a test asks of it is in `at`. */
export type Manifest = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
};

export const checkout = fileURLToPath(new URL('../..', import.meta.url));
export const chartFolder = `${checkout}deploy/chart`;
export const setUpTimeoutMs = 30 * 60_000;
export const quiet = { signal: new AbortController().signal, onProgress: () => undefined };

export async function helmProgram(): Promise<string> {
  return (await ensureComponents(['helm'], quiet))('helm');
}

/** The chart's objects with `values` over its defaults. Rejects with what helm says. */
export async function render(values: object = {}): Promise<readonly Manifest[]> {
  const extraArguments = Object.entries(values).flatMap(([key, value]) => [
    '--set-json',
    `${key}=${JSON.stringify(value)}`,
  ]);
  const { signal } = quiet;
  const helm = await helmProgram();
  return parseManifests(
    await renderChart({ helm, chart: chartFolder, namespace: installNamespace, extraArguments, signal }),
  );
}

export function parseManifests(text: string): readonly Manifest[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}

export function find(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  const found = manifests.filter((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} objects are ${kind} ${name}`);
  return found[0];
}

/** at(deployment, 'spec.template.spec.containers.0.image') */
export function at(manifest: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, key) => (value as Readonly<Record<string, unknown>> | undefined)?.[key], manifest);
}

export const keyOf = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
