import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureComponents } from '../test/cluster/lab/build.ts';
import { chartReadme } from './chart-readme.ts';
import { crdFiles, type GeneratedFile } from './crd-files.ts';
import { dashboardJson } from './dashboard.ts';
import { generateProto } from './generate-proto.ts';
import { metricsReference } from './metrics-reference.ts';
import { installManifest } from './render-chart.ts';

/** Files and folders that hold nothing but what is generated. */
export const generatedPaths = [
  'crds',
  'deploy/chart/README.md',
  'deploy/chart/dashboards',
  'deploy/chart/templates/crds',
  'deploy/install.yaml',
  'docs/metrics.md',
  'src/nri/gen',
  'src/ttrpc/gen',
] as const;

export type GenerateOptions = {
  readonly signal: AbortSignal;
  readonly onProgress: (message: string) => void;
};

const checkout = fileURLToPath(new URL('..', import.meta.url));
const chart = 'deploy/chart';

/**
 * Writes everything that is generated below `root`, a checkout or a folder with a copy of its chart. Needs helm at the
 * version of the test cluster's components, which is built where it is missing (minutes, once).
 */
export async function generateInto(root: string, options: GenerateOptions): Promise<void> {
  const { signal } = options;
  const helm = (await ensureComponents(['helm'], options))('helm');
  const readme = chartReadme(await readFile(join(root, chart, 'values.yaml'), 'utf8'));
  const files = [
    ...crdFiles(),
    { path: `${chart}/README.md`, text: readme },
    { path: `${chart}/dashboards/connectionbudget.json`, text: dashboardJson() },
    { path: 'docs/metrics.md', text: metricsReference() },
  ];
  await Promise.all(['crds', `${chart}/templates/crds`].map((folder) => emptyFolder(join(root, folder))));
  await Promise.all(files.map((file) => writeGenerated(root, file)));
  const install = await installManifest({ helm, chart: join(root, chart), signal });
  await writeGenerated(root, { path: 'deploy/install.yaml', text: install });
  await generateProto(root);
}

async function emptyFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
}

async function writeGenerated(root: string, { path, text }: GeneratedFile): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}

/** The generated files below `root` that differ from what the sources of this checkout give, are missing or too many. */
export async function staleFiles(root: string, options: GenerateOptions): Promise<readonly string[]> {
  const fresh = await mkdtemp(join(tmpdir(), 'generated-'));
  try {
    await cp(join(checkout, chart), join(fresh, chart), { recursive: true });
    await generateInto(fresh, options);
    const [expected, found] = await Promise.all([readAll(fresh), readAll(root)]);
    const paths = new Set([...expected.keys(), ...found.keys()]);
    return [...paths].filter((path) => expected.get(path) !== found.get(path)).toSorted();
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

async function readAll(root: string): Promise<ReadonlyMap<string, string>> {
  const paths = (await Promise.all(generatedPaths.map((path) => filesAt(root, path)))).flat();
  const texts = await Promise.all(paths.map((path) => readFile(join(root, path), 'utf8')));
  return new Map(paths.map((path, index) => [path, texts[index] ?? '']));
}

async function filesAt(root: string, path: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(join(root, path), { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    return files.map(({ parentPath, name }) => join(parentPath, name).slice(root.length).replace(/^\//, ''));
  } catch (error) {
    if (isCode(error, 'ENOTDIR')) return [path];
    if (isCode(error, 'ENOENT')) return [];
    throw error;
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
