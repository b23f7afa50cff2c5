import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isOnPath, run } from './command.ts';
import type { Component } from './components.ts';
import { kubernetesLinkerFlags, prepareKubernetesModule } from './kubernetes-module.ts';
import { LabError } from './lab-error.ts';

const goEnvironment = { CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false -mod=mod', GOWORK: 'off' };

/** Builds one component to `target`; the file appears complete or not at all. */
export async function buildComponent(component: Component, target: string, signal: AbortSignal): Promise<void> {
  if (!(await isOnPath('go'))) throw new LabError('MissingProgram', 'Go 1.26 or newer is needed to build the cluster');
  const project = dirname(target);
  await mkdir(project, { recursive: true });
  const scratch = await mkdtemp(join(project, '.build-'));
  try {
    await build(component, { target, scratch, project }, signal);
    await rename(join(scratch, basename(target)), target);
  } catch (cause) {
    signal.throwIfAborted();
    throw new LabError('BuildFailed', `${basename(target)} ${component.version} could not be built`, { cause });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

type Places = { readonly target: string; readonly scratch: string; readonly project: string };

async function build(component: Component, places: Places, signal: AbortSignal): Promise<void> {
  switch (component.recipe.kind) {
    case 'Kubernetes':
      return buildKubernetes(component, places, signal);
    case 'Required':
      return buildRequired({ ...component, package: component.recipe.package }, places, signal);
    case 'Installed':
      return buildInstalled({ ...component.recipe, version: component.version }, places, signal);
  }
}

async function buildKubernetes(component: Component, places: Places, signal: AbortSignal): Promise<void> {
  const cwd = join(places.project, 'module');
  const options = { signal, cwd, environment: goEnvironment };
  await prepareKubernetesModule(cwd, component.version, options);
  const name = basename(places.target);
  const flags = ['-trimpath', '-ldflags', kubernetesLinkerFlags(component.version)];
  await run('go', ['build', ...flags, '-o', join(places.scratch, name), `k8s.io/kubernetes/cmd/${name}`], options);
}

type RequiredPackage = { readonly package: string; readonly version: string };

async function buildRequired(required: RequiredPackage, places: Places, signal: AbortSignal): Promise<void> {
  const options = { signal, cwd: places.scratch, environment: goEnvironment };
  await writeFile(join(places.scratch, 'go.mod'), 'module connection-budget.test/required\n\ngo 1.26.0\n');
  await run('go', ['get', `${required.package}@v${required.version}`], options);
  const output = join(places.scratch, basename(places.target));
  await run('go', ['build', '-trimpath', '-ldflags=-s -w', '-o', output, required.package], options);
}

type InstalledPackage = RequiredPackage & { readonly cgo?: true; readonly tags?: string };

async function buildInstalled(installed: InstalledPackage, places: Places, signal: AbortSignal): Promise<void> {
  const environment = { ...goEnvironment, GOBIN: places.scratch, CGO_ENABLED: installed.cgo === true ? '1' : '0' };
  const tags = installed.tags === undefined ? [] : [`-tags=${installed.tags}`];
  const source = `${installed.package}@v${installed.version}`;
  await run('go', ['install', '-trimpath', '-ldflags=-s -w', ...tags, source], { signal, environment });
}
