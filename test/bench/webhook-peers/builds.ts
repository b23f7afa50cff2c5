import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeRootfs } from '../../../deploy/image.ts';
import { imageContents, programs } from '../../../deploy/image-contents.ts';
import { run } from '../../cluster/lab/command.ts';
import { cacheDirectory } from '../../cluster/lab/environment.ts';
import { buildComponent } from '../../cluster/lab/go-build.ts';

/** What the bench runs beside us, built once into the cache. */

const { signal } = new AbortController();
export const here = fileURLToPath(new URL('.', import.meta.url));
export const vpaVersion = '1.8.1';
export const peprVersion = '1.1.4';
const vpaModule = 'k8s.io/autoscaler/vertical-pod-autoscaler';

const say = (message: string): void => void process.stderr.write(`${message}\n`);

/** A Go program of this folder, by its sources. */
export const ensureOwnGoProgram = async (name: string): Promise<string> => {
  const folder = join(here, name);
  const sources = (await readdir(folder)).toSorted();
  const hash = createHash('sha256');
  for (const source of sources) hash.update(await readFile(join(folder, source)));
  const program = join(cacheDirectory(), 'webhook-peers', `${name}-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(program)) return program;
  say(`building ${name}, minutes with cold caches`);
  const flags = ['-trimpath', '-ldflags=-s -w', '-buildvcs=false'];
  await run('go', ['build', ...flags, '-o', program, '.'], {
    signal,
    cwd: folder,
    environment: { CGO_ENABLED: '0', GOWORK: 'off' },
  });
  return program;
};

export interface VpaFiles {
  readonly program: string;
  readonly crds: string;
}

export const ensureVpa = async (): Promise<VpaFiles> => {
  const program = join(cacheDirectory(), `vertical-pod-autoscaler-${vpaVersion}`, 'vpa-admission-controller');
  const path = `${vpaModule}/pkg/admission-controller`;
  if (!existsSync(program)) {
    say('building the admission controller of VPA, minutes with cold caches');
    const recipe = { kind: 'Required', package: path } as const;
    await buildComponent({ project: '', version: vpaVersion, recipe, coldSeconds: 0 }, program, signal);
  }
  const downloaded = await run('go', ['mod', 'download', '-json', `${vpaModule}@v${vpaVersion}`], { signal });
  const { Dir } = JSON.parse(downloaded) as { readonly Dir: string };
  return { program, crds: join(Dir, 'deploy', 'vpa-v1-crd-gen.yaml') };
};

/** The module's file beside the framework that it imports. */
export const ensurePepr = async (): Promise<string> => {
  const folder = join(cacheDirectory(), `pepr-${peprVersion}`);
  await mkdir(folder, { recursive: true });
  if (!existsSync(join(folder, 'node_modules', 'pepr'))) {
    say('installing Pepr');
    await writeFile(join(folder, 'package.json'), JSON.stringify({ dependencies: { pepr: peprVersion } }));
    await run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], { signal, cwd: folder });
  }
  const module = join(folder, 'pepr-module.cjs');
  await copyFile(join(here, 'pepr-module.cjs'), module);
  return module;
};

/** A program of ours as the image has it. */
export const buildBundle = async (program: string, folder: string): Promise<string> => {
  await mkdir(folder, { recursive: true });
  const wanted = programs.filter(({ name }) => name === program);
  await writeRootfs(await imageContents(wanted, signal), folder, signal);
  return join(folder, 'app', `${program}.js`);
};
