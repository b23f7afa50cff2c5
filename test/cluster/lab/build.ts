import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './build-lock.ts';
import { isExecutable } from './command.ts';
import { components, type Component, type ComponentName } from './components.ts';
import { ensureRequirements, runcBuildRequirements, type Progress } from './debian.ts';
import { cacheDirectory, prebuiltAssetsDirectory } from './environment.ts';
import { buildComponent } from './go-build.ts';

export type ComponentPaths<Name extends ComponentName> = (name: Name) => string;

const prebuiltNames: ReadonlySet<string> = new Set(['etcd', 'kube-apiserver', 'kubectl']);
const progressIntervalMs = 15_000;

/**
 * Gives the paths of the programs named, building those that are not yet in the cache (once per version and user; all of
 * a node takes about 17 minutes on two cores, the API server alone 6). etcd, kube-apiserver and kubectl are taken from
 * KUBEBUILDER_ASSETS where they are there. Throws LabError BuildFailed or MissingProgram.
 */
export async function ensureComponents<Name extends ComponentName>(
  names: readonly Name[],
  progress: Progress,
): Promise<ComponentPaths<Name>> {
  const missing = await missingOf(names.map((name) => [name, placeOf(name)]));
  if (missing.length > 0) await buildAll(missing, progress);
  return placeOf;
}

async function buildAll(missing: readonly Place[], progress: Progress): Promise<void> {
  if (missing.some(([name]) => name === 'runc')) await ensureRequirements(runcBuildRequirements, progress);
  await withLock(join(cacheDirectory(), 'build.lock'), progress.signal, async () => {
    const stillMissing = await missingOf(missing);
    for (const [index, [name, target]] of stillMissing.entries()) {
      const label = `${name} ${components[name].version} (${index + 1} of ${stillMissing.length})`;
      await buildWithProgress({ label, component: components[name], target }, progress);
    }
  });
}

type Build = { readonly label: string; readonly component: Component; readonly target: string };

async function buildWithProgress({ label, component, target }: Build, progress: Progress): Promise<void> {
  const started = performance.now();
  const elapsed = () => `${Math.round((performance.now() - started) / 1000)} s`;
  progress.onProgress(`building ${label}, about ${component.coldSeconds} s with cold caches`);
  const ticker = setInterval(() => progress.onProgress(`building ${label}: ${elapsed()}`), progressIntervalMs);
  try {
    await buildComponent(component, target, progress.signal);
    progress.onProgress(`built ${label} in ${elapsed()}`);
  } finally {
    clearInterval(ticker);
  }
}

type Place = readonly [name: ComponentName, path: string];

async function missingOf(places: readonly Place[]): Promise<readonly Place[]> {
  const built = await Promise.all(places.map(([, path]) => isExecutable(path)));
  return places.filter((_, index) => built[index] === false);
}

function placeOf(name: ComponentName): string {
  const { project, version } = components[name];
  return prebuiltPlace(name) ?? join(cacheDirectory(), `${project}-${version}`, name);
}

function prebuiltPlace(name: ComponentName): string | undefined {
  const assets = prebuiltAssetsDirectory();
  if (assets === undefined || !prebuiltNames.has(name)) return undefined;
  const file = join(assets, name);
  return existsSync(file) ? file : undefined;
}
