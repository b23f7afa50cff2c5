import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { run, type CommandOptions } from './command.ts';

const commands = ['kube-apiserver', 'kube-controller-manager', 'kube-proxy', 'kube-scheduler', 'kubectl', 'kubelet'];
const downloadSchema = z.object({ GoMod: z.string() });

/**
 * Makes a module from which the commands of k8s.io/kubernetes can be built. Its go.mod replaces the modules of its
 * staging folder by those folders, which are not in the published module; they are published on their own, with the
 * same content, as v0.MINOR.PATCH of v1.MINOR.PATCH.
 */
export async function prepareKubernetesModule(dir: string, version: string, options: CommandOptions): Promise<void> {
  if (existsSync(dir)) return;
  const cwd = `${dir}.new`;
  await rm(cwd, { recursive: true, force: true });
  await mkdir(cwd, { recursive: true });
  const download = ['mod', 'download', '-json', `k8s.io/kubernetes@v${version}`];
  const downloaded = downloadSchema.parse(JSON.parse(await run('go', download, { ...options, cwd })));
  const goMod = await readFile(downloaded.GoMod, 'utf8');
  await writeFile(join(cwd, 'go.mod'), moduleText(version, stagingModules(goMod)));
  await run('go', ['mod', 'tidy'], { ...options, cwd });
  await rename(cwd, dir);
}

/** The linker settings that make the commands report the release they are. */
export function kubernetesLinkerFlags(version: string): string {
  const [major, minor] = version.split('.');
  const variables = { gitVersion: `v${version}`, gitMajor: major, gitMinor: minor };
  const settings = Object.entries(variables).map(
    ([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`,
  );
  return ['-s', '-w', ...settings].join(' ');
}

function stagingModules(goMod: string): readonly string[] {
  return [...goMod.matchAll(/^\s*(?:replace\s+)?(\S+) => \.\/staging\//gm)].map((match) => match[1] ?? '');
}

function moduleText(version: string, staging: readonly string[]): string {
  const published = `v0.${version.slice(version.indexOf('.') + 1)}`;
  return [
    'module connection-budget.test/kubernetes',
    'go 1.26.0',
    ...commands.map((command) => `tool k8s.io/kubernetes/cmd/${command}`),
    `require k8s.io/kubernetes v${version}`,
    ...staging.map((module) => `replace ${module} => ${module} ${published}`),
    '',
  ].join('\n');
}
